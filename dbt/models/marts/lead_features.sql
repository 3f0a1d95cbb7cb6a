{{ config(tags=['features']) }}

-- What was known when the lead came in, and what became of it by as_of. Columns that sources
-- fill after the fact (status, first contact) are left out. From its source's first delivery on a
-- lead is known from the end of the day that delivered it, and so are the facts before it; history
-- that the first delivery brought is known from the days it bears.
with late as (
    select
        late.entity,
        late.source,
        late.record_id,
        late.loaded_date,
        begun.loaded_date as missing_from,
        {{ days_before(1, 'late.loaded_date') }} as missing_until
    from {{ source('segments', 'late_facts') }} as late
    inner join {{ source('segments', 'late_facts') }} as begun
        on late.entity = begun.entity and late.source = begun.source
    where late.record_id is not null and begun.record_id is null
),

leads as (
    select
        leads.source,
        leads.lead_id,
        leads.created_at,
        leads.created_date,
        leads.customer_id,
        leads.channel,
        leads.landing_page,
        leads.industry,
        leads.campaign_id,
        leads.is_converted,
        leads.converted_at,
        case
            when leads.created_date between late.missing_from and late.missing_until
                then late.loaded_date
            else leads.created_date
        end as known_date,
        -- a conversion that the lead's own record dates is told as that record is now
        case
            when
                staged.converted_at is null
                and {{ local_date('leads.converted_at') }}
                between became.missing_from and became.missing_until
                then became.loaded_date
        end as conversion_loaded_date,
        staged.interest,
        staged.employees_count,
        staged.country_code,
        staged.postcode,
        staged.phone,
        leads.email,
        leads.company_name
    from {{ ref('leads') }} as leads
    inner join {{ ref('stg_leads') }} as staged
        on leads.source = staged.source and leads.lead_id = staged.lead_id
    left join late
        on late.entity = 'leads' and leads.source = late.source and leads.lead_id = late.record_id
    left join late as became
        on
            became.entity = 'opportunities'
            and leads.source = became.source
            and leads.opportunity_id = became.record_id
    where leads.created_date <= {{ as_of() }}
),

orders_before as (
    select leads.source, leads.lead_id, count(*) as orders_count
    from leads
    inner join {{ ref('orders') }} as orders on leads.customer_id = orders.customer_id
    left join late
        on
            late.entity = 'orders'
            and orders.source = late.source
            and orders.order_id = late.record_id
    where
        orders.is_order
        and orders.ordered_at < leads.created_at
        and (
            late.record_id is null
            or leads.known_date not between late.missing_from and late.missing_until
        )
    group by leads.source, leads.lead_id
),

interactions_before as (
    select
        leads.source,
        leads.lead_id,
        sum(case when interactions.kind = 'web_visit' then 1 else 0 end) as web_visits_count,
        sum(case when interactions.kind in ('email_opened', 'email_clicked') then 1 else 0 end)
            as email_reactions_count
    from leads
    inner join {{ ref('interactions') }} as interactions
        on leads.customer_id = interactions.customer_id
    left join late
        on
            late.entity
            = case when interactions.kind = 'web_visit' then 'web_events' else 'email_events' end
            and interactions.source = late.source
            and interactions.record_id = late.record_id
    where
        interactions.kind in ('web_visit', 'email_opened', 'email_clicked')
        and interactions.occurred_at < leads.created_at
        and interactions.interaction_date > {{ days_before(90, 'leads.created_date') }}
        and (
            late.record_id is null
            or leads.known_date not between late.missing_from and late.missing_until
        )
    group by leads.source, leads.lead_id
)

select
    cast(leads.source as {{ dbt.type_string() }}) as source,
    cast(leads.lead_id as {{ dbt.type_string() }}) as lead_id,
    {{ as_of() }} as as_of,
    cast(leads.created_at as {{ dbt.type_timestamp() }}) as created_at,
    cast(
        case
            when leads.known_date > leads.created_date
                then least({{ day_end('leads.known_date') }}, {{ as_of_end() }})
            else leads.created_at
        end as {{ dbt.type_timestamp() }}
    ) as known_at,
    cast(leads.channel as {{ dbt.type_string() }}) as channel,
    cast(leads.landing_page as {{ dbt.type_string() }}) as landing_page,
    cast(leads.industry as {{ dbt.type_string() }}) as industry,
    cast(leads.interest as {{ dbt.type_string() }}) as interest,
    cast(leads.employees_count as {{ dbt.type_bigint() }}) as employees_count,
    cast(leads.country_code as {{ dbt.type_string() }}) as country_code,
    cast(substr(leads.postcode, 1, 2) as {{ dbt.type_string() }}) as postcode_area,
    leads.email is not null as has_email,
    leads.phone is not null as has_phone,
    leads.company_name is not null as has_company_name,
    cast(campaigns.channel as {{ dbt.type_string() }}) as campaign_channel,
    cast(extract(month from leads.created_date) as {{ dbt.type_int() }}) as created_month,
    cast({{ iso_weekday('leads.created_date') }} as {{ dbt.type_int() }}) as created_weekday,
    cast(coalesce(orders_before.orders_count, 0) as {{ dbt.type_bigint() }}) as orders_count_before,
    cast(coalesce(interactions_before.web_visits_count, 0) as {{ dbt.type_bigint() }})
        as web_visits_90d_before,
    cast(coalesce(interactions_before.email_reactions_count, 0) as {{ dbt.type_bigint() }})
        as email_reactions_90d_before,
    leads.is_converted and coalesce(leads.converted_at < {{ as_of_end() }}, true) as is_converted,
    cast(
        case when leads.converted_at < {{ as_of_end() }} then leads.converted_at end
        as {{ dbt.type_timestamp() }}
    ) as converted_at,
    cast(
        case
            when leads.converted_at >= {{ as_of_end() }}
                then null
            when leads.conversion_loaded_date is null
                then leads.converted_at
            else least({{ day_end('leads.conversion_loaded_date') }}, {{ as_of_end() }})
        end as {{ dbt.type_timestamp() }}
    ) as conversion_known_at,
    cast(
        case
            when leads.converted_at < {{ as_of_end() }}
                then {{ days_between('leads.created_date', local_date('leads.converted_at')) }}
        end as {{ dbt.type_bigint() }}
    ) as days_to_conversion
from leads
left join {{ ref('campaigns') }} as campaigns
    on leads.source = campaigns.source and leads.campaign_id = campaigns.campaign_id
left join orders_before
    on leads.source = orders_before.source and leads.lead_id = orders_before.lead_id
left join interactions_before
    on leads.source = interactions_before.source and leads.lead_id = interactions_before.lead_id
