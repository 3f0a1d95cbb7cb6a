-- A visit is a row of its own, or the pages that share a session.
with records as (
    {{ distinct_rows('web_events') }}
),

visits as (
    select
        _source as source,
        {{ content_id() }} as record_id,
        contact_id,
        visitor_id,
        session_id,
        campaign_id,
        page,
        occurred_at
    from records
    where coalesce(kind, 'web_visit') = 'web_visit'
),

sessions as (
    select
        _source as source,
        session_id as record_id,
        min(contact_id) as contact_id,
        min(visitor_id) as visitor_id,
        session_id,
        min(campaign_id) as campaign_id,
        {{ value_at_least('page', 'occurred_at') }} as page,
        min(occurred_at) as occurred_at
    from records
    where coalesce(kind, 'web_visit') <> 'web_visit' and session_id is not null
    group by _source, session_id
)

select * from visits
union all
select sessions.*
from sessions
where
    not exists (
        select 1
        from visits
        where visits.source = sessions.source and visits.session_id = sessions.session_id
    )
