select
    source,
    trust,
    currency_code,
    country_code
from ({{ declared_sources() }}) as declared
