-- Macros for all SQL files (Jinja, as in dbt).

{# Columns with a table alias: t.a, t.b #}
{% macro columns(alias, names) -%}
    {% for name in names %}{{ alias }}.{{ name }}{{ ", " if not loop.last }}{% endfor %}
{%- endmacro %}

{# Condition that two rows have the same values: t.a = r.a AND t.b = r.b #}
{% macro equal(left, right, names) -%}
    {% for name in names %}{{ left }}.{{ name }} = {{ right }}.{{ name }}{{ " AND " if not loop.last }}{% endfor %}
{%- endmacro %}

{# Condition that two rows differ in any value: t.a IS DISTINCT FROM r.a OR ... #}
{% macro differ(left, right, names) -%}
    {% for name in names %}{{ left }}.{{ name }} IS DISTINCT FROM {{ right }}.{{ name }}{{ " OR " if not loop.last }}{% endfor %}
{%- endmacro %}

{# The flag for the level of a risk indicator, 0 to 3; without a level INSUFFICIENT_DATA, never OK. #}
{% macro flag(level) -%}
    CASE {{ level }} WHEN 3 THEN 'SEVERE' WHEN 2 THEN 'RISK' WHEN 1 THEN 'WATCH' WHEN 0 THEN 'OK' ELSE 'INSUFFICIENT_DATA' END
{%- endmacro %}
