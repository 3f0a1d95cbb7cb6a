{#-
  Records of an entity that later snapshots no longer show, and the moment of the first that does
  not. A record that several feeds of a source have shown is closed when the last of them lacks it:
  the other systems behind them still know it. Nothing is deleted: what was known of them stays.
-#}
{% macro closed_records(entity, key) -%}
    {%- set names -%}
        {% for column in key %}last_shown.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    {%- endset -%}
    select
        source,
        {% for column in key %}{{ column }}, {% endfor -%}
        max(closed_at) as closed_at
    from (
        select
            last_shown.source,
            last_shown.feed,
            {{ names }},
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
        left join {{ source('raw', 'snapshots') }} as later
            on
                last_shown.source = later.source
                and last_shown.feed = later.feed
                and later.entity = '{{ entity }}'
                and last_shown.shown_at < later.shown_at
        group by last_shown.source, last_shown.feed, {{ names }}
    ) as by_feed
    group by source, {{ key | join(', ') }}
    having count(*) = count(closed_at)
{%- endmacro %}
