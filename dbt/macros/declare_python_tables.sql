{#- What Python writes between two selections is there, if empty, before it first does. -#}
{% macro declare_python_tables() -%}
    create schema if not exists identity;
    create table if not exists identity.identity_map (
        source varchar, contact_id varchar, customer_id varchar, link_rule varchar
    );
    create table if not exists identity.edges (
        source_a varchar,
        contact_a varchar,
        source_b varchar,
        contact_b varchar,
        link_rule varchar,
        match_weight double,
        match_probability double,
        evidence json,
        status varchar,
        reason varchar
    );
    create table if not exists identity.redirects (
        customer_id varchar, merged_into varchar, retired_at timestamp
    );
    create table if not exists identity.events (
        occurred_at timestamp,
        event varchar,
        customer_id varchar,
        other_customer_id varchar,
        records_count bigint
    );
    create table if not exists identity.organisations (
        source varchar, account_id varchar, organisation_id varchar, link_rule varchar
    );
    create table if not exists identity.organisation_links as from identity.edges limit 0;
    create table if not exists identity.corrections (
        customer_id varchar, field varchar, value varchar
    );
    create schema if not exists segments;
    create table if not exists segments.late_facts (
        entity varchar, source varchar, record_id varchar, loaded_date date
    );
    create schema if not exists built;
    create table if not exists built.customer_numbers (
        customer_id varchar, customer_number integer
    );
    create schema if not exists scores;
    create table if not exists scores.lead_scores (
        source varchar,
        lead_id varchar,
        as_of date,
        conversion_probability double,
        lead_grade varchar,
        reasons varchar,
        learned_probability double,
        rule_probability double,
        learned_weight double,
        fit_points bigint,
        behaviour_points bigint,
        expected_deal_amount double,
        expected_value_amount double,
        estimator_version varchar
    );
    create table if not exists scores.lead_routing (
        source varchar,
        lead_id varchar,
        as_of date,
        suggested_owner varchar,
        suggested_team varchar,
        reasons varchar
    );
    create table if not exists scores.contract_scores (
        source varchar,
        contract_id varchar,
        customer_id varchar,
        as_of date,
        horizon_days bigint,
        end_date date,
        non_renewal_probability double,
        expected_loss_amount double,
        reasons varchar,
        estimator_version varchar
    );
    create table if not exists scores.customer_scores (
        customer_id varchar,
        as_of date,
        horizon_days bigint,
        expected_orders double,
        order_probability double,
        lapse_probability double,
        expected_value double,
        expected_value_low double,
        expected_value_high double,
        reasons varchar,
        estimator_version varchar
    );
    create table if not exists scores.propensity_scores (
        propensity varchar,
        customer_id varchar,
        as_of date,
        horizon_days bigint,
        probability double,
        reasons varchar,
        estimator_version varchar
    );
    create table if not exists scores.next_orders (
        customer_id varchar,
        as_of date,
        expected_date date,
        earliest_date date,
        latest_date date,
        year_probability double,
        category varchar,
        estimator_version varchar
    );
    create table if not exists scores.customer_clusters (
        customer_id varchar,
        cluster varchar,
        as_of date,
        estimator_version varchar
    );
    create table if not exists scores.score_checks (
        score varchar,
        as_of date,
        estimator_version varchar,
        measure varchar,
        subject varchar,
        value double,
        limit_value double,
        is_alert boolean
    );
{%- endmacro %}
