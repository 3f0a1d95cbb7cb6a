{#- Type of every amount: exact, so that sums do not depend on the order of rows. -#}
{% macro amount_type() -%}
    decimal(18, 4)
{%- endmacro %}

{#- Net amount of a line that states none: quantity times price, less the discount. -#}
{% macro line_amount() -%}
    quantity * coalesce(unit_price, 0) - coalesce(discount_amount, 0)
{%- endmacro %}

{#- A quotient rounded to four decimals; null when the divisor is 0 or unknown. -#}
{% macro ratio(numerator, denominator) -%}
    cast(
        round(
            cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0), 4
        ) as {{ cohorte.amount_type() }}
    )
{%- endmacro %}

{#- Type of what is measured rather than counted: coordinates, probabilities, means of days. -#}
{% macro double_type() -%}
    {{ return(adapter.dispatch('double_type', 'cohorte')()) }}
{%- endmacro %}

{% macro default__double_type() -%}
    double
{%- endmacro %}
