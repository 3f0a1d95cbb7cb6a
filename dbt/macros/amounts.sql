{#- Type of every amount: exact, so that sums do not depend on the order of rows. -#}
{% macro amount_type() -%}
    decimal(18, 4)
{%- endmacro %}

{#- Net amount of a line that states none: quantity times price, less the discount. -#}
{% macro line_amount() -%}
    {{ cohorte.multiplied('quantity', 'coalesce(unit_price, 0)') }} - coalesce(discount_amount, 0)
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

{#- Product of two amounts, exact and rounded to an amount. -#}
{% macro multiplied(one, other) -%}
    {{ return(adapter.dispatch('multiplied', 'cohorte')(one, other)) }}
{%- endmacro %}

{% macro default__multiplied(one, other) -%}
    cast(cast({{ one }} as decimal(38, 4)) * {{ other }} as {{ cohorte.amount_type() }})
{%- endmacro %}

{#-
  DuckDB 2 multiplies two DECIMAL(18, 4) as DECIMAL(18, 8), which overflows at ten thousand
  millions, and wider types are seventy times slower: narrow where the product surely fits.
-#}
{% macro duckdb__multiplied(one, other) -%}
    case
        when {{ one }} between -90000 and 90000 and {{ other }} between -90000 and 90000
            then cast({{ one }} * {{ other }} as {{ cohorte.amount_type() }})
        else cast(cast({{ one }} as decimal(38, 4)) * {{ other }} as {{ cohorte.amount_type() }})
    end
{%- endmacro %}

{#- An amount in the reporting currency, at a rate that is needed for other currencies only. -#}
{% macro in_reporting_currency(amount, currency_code, rate) -%}
    case
        when {{ currency_code }} = '{{ var("currency") }}' then {{ amount }}
        else cast(cast({{ amount }} as decimal(38, 4)) * {{ rate }} as {{ cohorte.amount_type() }})
    end
{%- endmacro %}
