SELECT COALESCE(grade_level, '(not given)') AS grade_level, risk_tier, COUNT(*) AS students
FROM v_student_risk_monitor
GROUP BY COALESCE(grade_level, '(not given)'), risk_tier
