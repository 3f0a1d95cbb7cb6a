// The widgets' own words, in the language of the page. Pairs are [English, other]; {x} stands for
// what changes. Values of lists and what people wrote are left alone.
(pairs => {
  const homes = '[data-testid="stFileUploader"],[data-testid="stDateInput"],' +
    '[data-testid="stDateInputCalendar"],[data-testid="stMultiSelect"],' +
    '[data-testid="stSelectbox"],[data-testid="stTextInput"],[data-testid="stNumberInput"],[data-testid="InputInstructions"]';
  const pattern = text => new RegExp("^" + text.replace(/[.*+?^$()|[\]\\]/g, "\\$&")
    .replace(/\{\w+\}/g, "(.+)") + "$");
  const ways = pairs.map(([en, other]) => ({en, other, isEn: pattern(en), isOther: pattern(other)}));
  const told = (text, french) => {
    for (const way of ways) {
      const match = (french ? way.isEn : way.isOther).exec(text.trim());
      if (match) {
        let i = 0;
        return (french ? way.other : way.en)
          .replace(/\{\w+\}/g, () => told(match[++i], french) ?? match[i]);
      }
    }
  };
  const speak = home => {
    const french = document.documentElement.lang === "fr";
    const walk = document.createTreeWalker(home, NodeFilter.SHOW_TEXT, node =>
      node.parentElement.closest('[role="option"],[data-tag],label,option')
        ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    while (walk.nextNode()) {
      const text = told(walk.currentNode.data, french);
      if (text) walk.currentNode.data = text;
    }
    for (const name of ["aria-label", "placeholder"]) {
      for (const node of [home, ...home.querySelectorAll(`[${name}]`)]) {
        const text = told(node.getAttribute(name) || "", french);
        if (text) node.setAttribute(name, text);
      }
    }
    // A place to drop files that has a name and takes the keyboard is not there for looks.
    for (const node of home.querySelectorAll('[role="presentation"][tabindex]'))
      node.setAttribute("role", "group");
  };
  let waits = false;
  const look = () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      document.querySelectorAll(homes).forEach(speak);
    });
  };
  new MutationObserver(look).observe(document.documentElement, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["lang"],
  });
})
