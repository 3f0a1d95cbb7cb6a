{#-
  Score of a distinct value in a histogram (value, customers_count) by its mid-rank: the share of
  customers below it, plus half of those who share it, cut in `levels` and counted from `lowest`.
  Equal values get equal scores and the order of rows does not matter.
-#}
{% macro mid_rank_score(customers_below, customers_tied, customers_total, levels, lowest) -%}
    least(
        5,
        {{ lowest }} + cast(
            floor(
                ({{ levels }} * (2 * {{ customers_below }} + {{ customers_tied }}))
                / (2.0 * {{ customers_total }})
            ) as {{ dbt.type_int() }}
        )
    )
{%- endmacro %}
