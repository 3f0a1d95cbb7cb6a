from dashboards.markup import Html, div, join, markdown_text, span, tag, text

HOSTILE = '<img src=x onerror="alert(1)">'


def test_text_that_enters_markup_is_escaped() -> None:
    assert HOSTILE not in div(HOSTILE)
    assert str(span(HOSTILE)).count("<") == 2


def test_markup_built_here_is_not_escaped_twice() -> None:
    assert div(span("a & b")) == "<div><span>a &amp; b</span></div>"


def test_attributes_cannot_be_left() -> None:
    made = tag("span", "x", title='" onmouseover="alert(1)')
    assert made == '<span title="&quot; onmouseover=&quot;alert(1)">x</span>'


def test_children_may_be_nested_and_absent() -> None:
    assert join("a", None, ["b", ["c", None]], 3) == "abc3"
    assert isinstance(text("a"), Html)


def test_labels_that_streamlit_reads_as_markdown_show_their_signs() -> None:
    assert markdown_text("![x](http://evil/x.png) *a*\n:red[b]") == (
        r"\!\[x\]\(http\:\/\/evil\/x\.png\) \*a\* \:red\[b\]".replace(r"\/", "/")
    )
