{#-
  Grain: no two rows share the key, and no row lacks a part of it. Keys are compared by a number
  first, so that a large table needs little memory; columns in `nullable` may be missing.
-#}
{% test has_one_row_per(model, columns, nullable=[]) %}
    with suspects as (
        select {{ cohorte.key_hash(columns) }} as key_number
        from {{ model }}
        group by 1
        having count(*) > 1
    )

    select {{ columns | join(', ') }}, count(*) as rows_count
    from {{ model }}
    where {{ cohorte.key_hash(columns) }} in (select key_number from suspects)
    group by {{ columns | join(', ') }}
    having count(*) > 1
    {%- set required = columns | reject('in', nullable) | list %}
    union all
    select {{ columns | join(', ') }}, 1 as rows_count
    from {{ model }}
    where {{ required | join(' is null or ') }} is null
{% endtest %}

{#- A condition that every row of the model meets. -#}
{% test holds(model, condition) %}
    select *
    from {{ model }}
    where not coalesce({{ condition }}, false)
{% endtest %}

{#- Every value of the column is one of the key of another table; missing values are allowed. -#}
{% test refers_to(model, column, to, field) %}
    select distinct referring.{{ column }}
    from {{ model }} as referring
    where referring.{{ column }} is not null
        and not exists (
            select 1 from {{ to }} as referred where referred.{{ field }} = referring.{{ column }}
        )
{% endtest %}
