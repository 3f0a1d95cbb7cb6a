{{ config(tags=['unify']) }}

{{ links_between('organisation_links', 'organisations', record='account', entity='organisation') }}
