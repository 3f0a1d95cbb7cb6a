{#- Day in the workspace's time zone of a UTC timestamp. -#}
{% macro local_date(timestamp_utc) -%}
    {{ return(adapter.dispatch('local_date', 'cohorte')(timestamp_utc)) }}
{%- endmacro %}

{% macro default__local_date(timestamp_utc) -%}
    cast(from_utc_timestamp({{ timestamp_utc }}, '{{ var("time_zone") }}') as date)
{%- endmacro %}

{% macro duckdb__local_date(timestamp_utc) -%}
    {%- if var("time_zone") == 'UTC' -%}
        cast({{ timestamp_utc }} as date)
    {%- else -%}
        cast(({{ timestamp_utc }} at time zone 'UTC') at time zone '{{ var("time_zone") }}' as date)
    {%- endif -%}
{%- endmacro %}

{#- The reference day, inclusive. -#}
{% macro as_of() -%}
    cast('{{ var("as_of") }}' as date)
{%- endmacro %}

{#- The reference instant in UTC, exclusive: the end of the reference day. -#}
{% macro as_of_end() -%}
    {{ cohorte.day_end(cohorte.as_of()) }}
{%- endmacro %}

{#- The end of a day of the workspace's time zone, as an instant in UTC. -#}
{% macro day_end(day) -%}
    {{ return(adapter.dispatch('day_end', 'cohorte')(day)) }}
{%- endmacro %}

{% macro default__day_end(day) -%}
    to_utc_timestamp(
        cast({{ dbt.dateadd('day', 1, day) }} as timestamp), '{{ var("time_zone") }}'
    )
{%- endmacro %}

{% macro duckdb__day_end(day) -%}
    (cast({{ day }} + 1 as timestamp) at time zone '{{ var("time_zone") }}') at time zone 'UTC'
{%- endmacro %}

{#- Whole days from one day to another. -#}
{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch('days_between', 'cohorte')(earlier, later)) }}
{%- endmacro %}

{% macro default__days_between(earlier, later) -%}
    datediff({{ later }}, {{ earlier }})
{%- endmacro %}

{% macro duckdb__days_between(earlier, later) -%}
    ({{ later }} - {{ earlier }})
{%- endmacro %}

{#- A day so many days before another. -#}
{% macro days_before(days, day) -%}
    {{ return(adapter.dispatch('days_before', 'cohorte')(days, day)) }}
{%- endmacro %}

{% macro default__days_before(days, day) -%}
    date_sub({{ day }}, {{ days }})
{%- endmacro %}

{% macro duckdb__days_before(days, day) -%}
    ({{ day }} - {{ days }})
{%- endmacro %}

{#- First day of the month of a day. -#}
{% macro month_of(day) -%}
    cast({{ dbt.date_trunc('month', day) }} as date)
{%- endmacro %}

{#- Whole years from a day to another, as ages are counted. -#}
{% macro whole_years_between(earlier, later) -%}
    cast(
        extract(year from {{ later }}) - extract(year from {{ earlier }})
        - case
            when extract(month from {{ later }}) * 100 + extract(day from {{ later }})
                < extract(month from {{ earlier }}) * 100 + extract(day from {{ earlier }})
                then 1
            else 0
        end as bigint
    )
{%- endmacro %}

{#- Whether a day is one of the last so many, the reference day included. -#}
{% macro within(day, days) -%}
    ({{ day }} > {{ cohorte.days_before(days, cohorte.as_of()) }} and {{ day }} <= {{ cohorte.as_of() }})
{%- endmacro %}

{#- Day of the week, Monday 1 to Sunday 7. -#}
{% macro iso_weekday(day) -%}
    {{ return(adapter.dispatch('iso_weekday', 'cohorte')(day)) }}
{%- endmacro %}

{% macro default__iso_weekday(day) -%}
    extract(dayofweek_iso from {{ day }})
{%- endmacro %}

{% macro duckdb__iso_weekday(day) -%}
    extract(isodow from {{ day }})
{%- endmacro %}

{#- The same day some months before another, or the last of a shorter month. -#}
{% macro months_before(months, day) -%}
    {{ return(adapter.dispatch('months_before', 'cohorte')(months, day)) }}
{%- endmacro %}

{% macro default__months_before(months, day) -%}
    add_months({{ day }}, -{{ months }})
{%- endmacro %}

{% macro duckdb__months_before(months, day) -%}
    cast({{ day }} - to_months({{ months }}) as date)
{%- endmacro %}
