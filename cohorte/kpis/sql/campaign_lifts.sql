-- One row per campaign with a control group, a cost and a first message so long ago that its days
-- are over: what those it was sent to brought within the days, and those held out of it by chance.
with groups as (
    select
        touchpoints.campaign_id,
        touchpoints.customer_id,
        max(case when touchpoints.kind = 'held_out' then 1 else 0 end) = 1 as is_held_out
    from touchpoints
    inner join (
        select distinct held.campaign_id from touchpoints as held where held.kind = 'held_out'
    ) as controlled on touchpoints.campaign_id = controlled.campaign_id
    left join customers on touchpoints.customer_id = customers.customer_id
    where
        touchpoints.kind in ('email_sent', 'held_out')
        and touchpoints.customer_id is not null
        and not coalesce(customers.is_internal, false)
    group by touchpoints.campaign_id, touchpoints.customer_id
),

begun as (
    select
        touchpoints.campaign_id,
        cast(timezone($time_zone, timezone('UTC', min(touchpoints.occurred_at))) as date) as day
    from touchpoints
    where touchpoints.kind = 'email_sent' and touchpoints.customer_id is not null
    group by touchpoints.campaign_id
),

brought as (
    select
        groups.campaign_id,
        groups.customer_id,
        sum(order_lines.margin_amount) as margin_amount
    from groups
    inner join begun on groups.campaign_id = begun.campaign_id
    inner join order_lines
        on
            groups.customer_id = order_lines.customer_id
            and order_lines.order_date >= begun.day
            and order_lines.order_date < begun.day + cast($conversion_days as integer)
            and order_lines.status <> 'cancelled'
    group by groups.campaign_id, groups.customer_id
),

told as (
    select
        groups.campaign_id,
        count(case when not groups.is_held_out then 1 end) as sent_count,
        count(case when groups.is_held_out then 1 end) as held_out_count,
        sum(case when not groups.is_held_out then coalesce(brought.margin_amount, 0) end)
            as sent_margin,
        sum(case when groups.is_held_out then coalesce(brought.margin_amount, 0) end)
            as held_out_margin,
        var_samp(case when not groups.is_held_out then coalesce(brought.margin_amount, 0) end)
            as sent_variance,
        var_samp(case when groups.is_held_out then coalesce(brought.margin_amount, 0) end)
            as held_out_variance
    from groups
    left join brought
        on
            groups.campaign_id = brought.campaign_id
            and groups.customer_id = brought.customer_id
    group by groups.campaign_id
)

select
    begun.day,
    campaigns.source,
    campaigns.campaign_id,
    campaigns.channel,
    campaigns.cost_amount,
    told.sent_count,
    told.held_out_count,
    told.sent_margin - told.held_out_margin * told.sent_count / told.held_out_count
        as incremental_amount,
    told.sent_count * told.sent_variance
    + power(told.sent_count, 2) * told.held_out_variance / told.held_out_count
        as incremental_variance
from told
inner join begun on told.campaign_id = begun.campaign_id
inner join campaigns on told.campaign_id = campaigns.campaign_id
where
    told.sent_count >= 2
    and told.held_out_count >= 2
    and campaigns.cost_amount > 0
    and campaigns.currency_code is not distinct from (select currency from version_info)
    and begun.day + cast($conversion_days as integer) <= $as_of + 1
