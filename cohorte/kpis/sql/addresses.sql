-- One row per contact point of a customer.
select
    contact_points.source,
    contact_points.channel,
    contact_points.customer_id,
    contact_points.contact_point,
    contact_points.is_valid
from contact_points
