{%- set is_visit = "coalesce(kind, 'web_visit') = 'web_visit'" -%}

-- A visit is a row of its own, or the pages that share a session no visit tells of.
with visits as (
    {{ distinct_rows('web_events', is_visit) }}
),

pages as (
    {{ distinct_rows('web_events', "session_id is not null and not " ~ is_visit) }}
),

sessions as (
    select
        _source,
        session_id,
        min(contact_id) as contact_id,
        min(visitor_id) as visitor_id,
        min(campaign_id) as campaign_id,
        min(occurred_at) as occurred_at
    from pages
    group by _source, session_id
),

first_pages as (
    select
        sessions._source,
        sessions.session_id,
        min(pages.page) as page
    from sessions
    inner join pages
        on
            sessions._source = pages._source
            and sessions.session_id = pages.session_id
            and sessions.occurred_at = pages.occurred_at
    group by sessions._source, sessions.session_id
)

select
    _source as source,
    {{ content_id() }} as record_id,
    contact_id,
    visitor_id,
    session_id,
    campaign_id,
    page,
    occurred_at
from visits
union all
select
    sessions._source as source,
    sessions.session_id as record_id,
    sessions.contact_id,
    sessions.visitor_id,
    sessions.session_id,
    sessions.campaign_id,
    first_pages.page,
    sessions.occurred_at
from sessions
left join first_pages
    on sessions._source = first_pages._source and sessions.session_id = first_pages.session_id
where
    not exists (
        select 1
        from {{ source('raw', 'web_events') }} as told
        where
            told._source = sessions._source
            and told.session_id = sessions.session_id
            and {{ is_visit }}
    )
