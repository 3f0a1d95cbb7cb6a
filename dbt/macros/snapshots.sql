{#-
  Records of an entity that a later snapshot of their feed no longer shows, and the moment of the
  first that does not. Nothing is deleted: what was known of them stays.
-#}
{% macro closed_records(entity, key) -%}
    select
        last_shown.source,
        {% for column in key %}last_shown.{{ column }}, {% endfor -%}
        min(later.shown_at) as closed_at
    from (
        select
            shown.source,
            shown.feed,
            {% for column in key %}records.{{ column }}, {% endfor -%}
            max(shown.shown_at) as shown_at
        from {{ source('raw', 'snapshots') }} as shown
        inner join {{ source('raw', entity) }} as records
            on shown.file_id = records._file_id
        where shown.entity = '{{ entity }}'
        group by shown.source, shown.feed, {% for column in key -%}
            records.{{ column }}{{ ', ' if not loop.last }}
        {%- endfor %}
    ) as last_shown
    inner join {{ source('raw', 'snapshots') }} as later
        on
            last_shown.source = later.source
            and last_shown.feed = later.feed
            and later.entity = '{{ entity }}'
            and last_shown.shown_at < later.shown_at
    group by last_shown.source, {% for column in key -%}
        last_shown.{{ column }}{{ ', ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
