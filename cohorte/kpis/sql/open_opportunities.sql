-- One row per opportunity open at the end of the period, in the stage it was in then. Its chance is
-- the share won among the opportunities closed before that had reached the stage and lived as long
-- (under 30 days, 90 days, or longer), drawn to the share of the stage by the weight of ten.
with staged as (
    select
        source,
        opportunity_id,
        arg_max(stage, entered_at) as stage
    from opportunity_stages
    where entered_at < $end_at
    group by source, opportunity_id
),

closed as (
    select
        stages.stage,
        date_diff('day', opportunities.created_at, opportunities.closed_at) as days_lived,
        opportunities.is_won
    from opportunities
    inner join (
        select distinct
            source,
            opportunity_id,
            stage
        from opportunity_stages
        union
        select
            source,
            opportunity_id,
            null as stage
        from opportunities
    ) as stages
        on
            opportunities.source = stages.source
            and opportunities.opportunity_id = stages.opportunity_id
    where opportunities.is_won is not null and opportunities.closed_at < $end_at
),

chances as (
    select
        closed.stage,
        ages.days_at_least,
        (
            count(case when closed.is_won and closed.days_lived >= ages.days_at_least then 1 end)
            + 10.0 * (count(case when closed.is_won then 1 end) + 1) / (count(*) + 2)
        )
        / (count(case when closed.days_lived >= ages.days_at_least then 1 end) + 10)
            as win_probability
    from closed
    cross join (select unnest([0, 30, 90]) as days_at_least) as ages
    group by closed.stage, ages.days_at_least
),

open as (
    select
        opportunities.source,
        opportunities.owner,
        opportunities.team,
        coalesce(
            staged.stage, case when opportunities.is_won is null then opportunities.stage end
        ) as stage,
        opportunities.opportunity_id,
        opportunities.opportunity_name,
        opportunities.customer_id,
        opportunities.reporting_amount,
        opportunities.expected_close_date,
        date_diff('day', opportunities.created_at, $end_at) as days_open
    from opportunities
    left join staged
        on
            opportunities.source = staged.source
            and opportunities.opportunity_id = staged.opportunity_id
    where
        opportunities.created_at < $end_at
        and (opportunities.closed_at >= $end_at or opportunities.is_won is null)
        and not exists (
            select 1 from customers
            where customers.is_internal and customers.customer_id = opportunities.customer_id
        )
)

select
    open.*,
    coalesce(of_stage.win_probability, of_all.win_probability) as win_probability
from open
left join chances as of_stage
    on
        open.stage = of_stage.stage
        and of_stage.days_at_least
        = case when open.days_open >= 90 then 90 when open.days_open >= 30 then 30 else 0 end
left join chances as of_all
    on
        of_all.stage is null
        and of_all.days_at_least
        = case when open.days_open >= 90 then 90 when open.days_open >= 30 then 30 else 0 end
