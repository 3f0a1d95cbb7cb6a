{{ config(tags=['unify']) }}

{{ links_between('edges', 'identity_map', record='contact', entity='customer') }}
