{{ config(tags=['unify'], materialized='view') }}

select
    interaction_id,
    customer_id,
    campaign_id,
    kind,
    occurred_at
from {{ ref('interactions') }}
where campaign_id is not null
