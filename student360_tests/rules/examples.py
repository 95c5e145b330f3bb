"""The worked examples: what a counselor would expect, with the source that decides it. The notation is in `worlds.py`.

`make docs` writes docs/reference/risk-examples.md from them.
"""

from datetime import date
from typing import Any

from student360_tests.rules.worlds import Example, World

ATTENDANCE_WORKS = "Attendance Works: chronic absence is missing 10 % of days, severe 20 %, satisfactory below 5 %"
DESIGN = (
    "Watch below 95 %, at risk at or below 90 %, severe at or below 80 %, at least 10 days "
    "(docs/reference/risk-monitor.md)"
)
EDFACTS = "US ED, EDFacts FS195: absent for 10 % or more of days enrolled, excused or not, suspensions included"
SEPTEMBER = "Olson 2014, Why September Matters: fewer than 2, 2 to 4, more than 4 days missed"
BALFANZ = "Balfanz, Herzog & Mac Iver 2007: a failed core course"
ON_TRACK = "Allensworth & Easton 2007: more than one failed core course is off track"
LOCAL = "Local default in data/reference/risk_rules.csv"
NO_DATA = "Missing data is never shown as ON_TRACK (docs/reference/risk-monitor.md)"
HONEST = "An impossible value is excluded, not capped"
CONTACT = "Local default; automatic reminders do not count as contact"
TIERS = "HIGH: one severe or at risk in two domains; MODERATE: in one (docs/reference/risk-monitor.md)"
REFERENCE = "data/reference/dim_attendance_codes.csv defines the codes"
ORIGINAL = "The original project's rules: attendance below 80 %, average below 60, homework below 50 %"
UNKNOWN = "INSUFFICIENT_DATA"


def attendance(
    absent: float, days: int, flag: str, tier: str | None, row: int = 0, change: float | None = 0.0
) -> dict[str, Any]:
    """Return the attendance columns of a row: days missed of days recorded, flag, tier, days in a row, trend."""
    return {
        "attendance_rate": 100 * (days - absent) / days,
        "attendance_flag": flag,
        "chronic_absence_tier": tier,
        "days_recorded": days,
        "days_absent": absent,
        "days_absent_in_a_row": row,
        "streak_flag": "OK",
        "attendance_change": change,
        "trend_flag": "OK",
    }


def judged(tier: str, score: int, *reasons: str) -> dict[str, Any]:
    """Return the tier, the score and all reasons."""
    return {"risk_tier": tier, "risk_score": score, "reasons": "; ".join(reasons)}


CALM = {
    **judged("ON_TRACK", 0),
    **attendance(0, 70, "OK", "SATISFACTORY"),
    "attendance_coverage": 100.0,
    "courses_failing": 0,
    "courses_flag": "OK",
    "average_score": 85.75,
    "score_flag": "OK",
    "score_change": 3.5,
    "score_trend_flag": "OK",
    "homework_missing_rate": 0.0,
    "homework_flag": "OK",
    "days_without_contact": 5,
    "contact_flag": "OK",
    "data_coverage": 100.0,
    "known_until": "2026-01-30",
    "rule_set": "default",
}
NO_ATTENDANCE = {
    "attendance_rate": None,
    "attendance_flag": UNKNOWN,
    "chronic_absence_tier": None,
    "days_recorded": 0,
    "days_absent": 0.0,
    "attendance_coverage": None,
    "days_absent_in_a_row": None,
    "streak_flag": UNKNOWN,
    "attendance_change": None,
    "trend_flag": UNKNOWN,
}
NO_SCORES = {
    "courses_failing": None,
    "courses_flag": UNKNOWN,
    "average_score": None,
    "score_flag": UNKNOWN,
    "score_change": None,
    "score_trend_flag": UNKNOWN,
}
NO_HOMEWORK = {"homework_missing_rate": None, "homework_flag": UNKNOWN}
TOO_FEW_DAYS = {"attendance_flag": UNKNOWN, "chronic_absence_tier": None, "streak_flag": UNKNOWN, "trend_flag": UNKNOWN}
NO_TREND = {"trend_flag": UNKNOWN}
ONE_COURSE = {"score_change": None, "score_trend_flag": UNKNOWN}


def of_eight(missing: int) -> float:
    """Return the data coverage in percent if this number of the eight indicators judged all year has no data."""
    return 100 * (8 - missing) / 8


def of_nine(missing: int) -> float:
    """Like `of_eight`, within the first 60 school days, when the first month is also judged."""
    return 100 * (9 - missing) / 9


AMOUNTS = (
    Example(
        "Only the name is known",
        NO_DATA,
        judged(UNKNOWN, 0)
        | NO_ATTENDANCE
        | NO_SCORES
        | NO_HOMEWORK
        | {"days_without_contact": 100, "data_coverage": of_nine(8)},
        attendance="",
        scores="",
        homework="",
        contacts="",
    ),
    Example("No problems", NO_DATA, {}),
    Example(
        "Nine days are too few for a judgment",
        DESIGN,
        judged(UNKNOWN, 0)
        | attendance(0, 9, UNKNOWN, None, change=None)
        | TOO_FEW_DAYS
        | {"data_coverage": of_nine(4)},
        attendance="9P",
    ),
    Example(
        "Nine days are too few even if all are missed",
        DESIGN,
        judged(UNKNOWN, 0) | attendance(9, 9, UNKNOWN, None, 9, None) | TOO_FEW_DAYS | {"data_coverage": of_nine(4)},
        attendance="9A",
    ),
    Example(
        "Ten days are enough",
        DESIGN,
        attendance(0, 10, "OK", "SATISFACTORY", change=None) | NO_TREND | {"data_coverage": of_nine(1)},
        attendance="10P",
    ),
    Example(
        "Good scores without attendance are not on track",
        NO_DATA,
        judged(UNKNOWN, 0) | NO_ATTENDANCE | {"data_coverage": of_nine(4)},
        attendance="",
    ),
    Example(
        "Good attendance without scores is not on track where scores are sent",
        NO_DATA,
        judged(UNKNOWN, 0) | NO_SCORES | {"data_coverage": of_eight(3)},
        scores="",
    ),
    Example(
        "Low scores count without attendance",
        TIERS,
        judged("MODERATE", 50, "failing 1 of 2 core courses")
        | NO_ATTENDANCE
        | {
            "courses_failing": 1,
            "courses_flag": "RISK",
            "average_score": 72.5,
            "score_change": 0.0,
            "data_coverage": of_nine(4),
        },
        attendance="",
        scores="Math 55 55; English 90 90",
    ),
)

BOUNDARIES = (
    Example(
        "Missing 4.95 % is satisfactory",
        ATTENDANCE_WORKS,
        attendance(5, 101, "OK", "SATISFACTORY"),
        attendance="5A 96P",
    ),
    Example(
        "Present 95 % is not below 95 %",
        DESIGN,
        attendance(1, 20, "OK", "AT_RISK", change=None) | NO_TREND | {"data_coverage": of_nine(1)},
        attendance="1A 19P",
    ),
    Example(
        "Missing 1 of 19 days is below 95 %",
        DESIGN,
        judged("WATCH", 30, "missed 1 of 19 school days (5 %), 1 in the last 19")
        | attendance(1, 19, "WATCH", "AT_RISK", change=None)
        | NO_TREND
        | {"data_coverage": of_nine(1)},
        attendance="1A 18P",
    ),
    Example(
        "8 of 90 days missed is WATCH",
        ATTENDANCE_WORKS,
        judged("WATCH", 30, "missed 8 of 90 school days (8 %), 0 in the last 20")
        | attendance(8, 90, "WATCH", "AT_RISK"),
        attendance="8A 82P",
    ),
    Example(
        "9 of 90 days missed is chronic absence, compared in whole numbers",
        ATTENDANCE_WORKS,
        judged("MODERATE", 60, "missed 9 of 90 school days (10 %), 0 in the last 20")
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC"),
        attendance="9A 81P",
    ),
    Example(
        "9.6 % is shown as 9 %, not as 10 %",
        "Percentages are truncated, not rounded, so that they never seem to reach a limit that they have not reached",
        judged("WATCH", 30, "missed 8 of 83 school days (9 %), 0 in the last 20")
        | attendance(8, 83, "WATCH", "AT_RISK"),
        attendance="8A 75P",
    ),
    Example(
        "17 of 90 days missed is not yet severe",
        ATTENDANCE_WORKS,
        judged("MODERATE", 60, "missed 17 of 90 school days (18 %), 0 in the last 20")
        | attendance(17, 90, "RISK", "MODERATE_CHRONIC"),
        attendance="17A 73P",
    ),
    Example(
        "18 of 90 days missed is severe",
        ATTENDANCE_WORKS,
        judged("HIGH", 90, "missed 18 of 90 school days (20 %), 0 in the last 20")
        | attendance(18, 90, "SEVERE", "SEVERE_CHRONIC"),
        attendance="18A 72P",
    ),
)

CODES = (
    Example(
        "Excused days count as missed",
        EDFACTS,
        judged("MODERATE", 60, "missed 9 of 90 school days (10 %), 0 in the last 20")
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC"),
        attendance="9E 81P",
    ),
    Example(
        "Suspended days count as missed",
        EDFACTS,
        judged("MODERATE", 60, "missed 9 of 90 school days (10 %), 0 in the last 20")
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC"),
        attendance="9S 81P",
    ),
    Example("Late counts as present", REFERENCE, attendance(0, 90, "OK", "SATISFACTORY"), attendance="9L 81P"),
    Example("Leaving early counts as present", REFERENCE, attendance(0, 90, "OK", "SATISFACTORY"), attendance="81P 9B"),
    Example(
        "Eighteen half days count as nine days",
        REFERENCE,
        judged("MODERATE", 60, "missed 9 of 90 school days (10 %), 0 in the last 20")
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC"),
        attendance="18H 72P",
    ),
    Example(
        "A day without school does not count", REFERENCE, attendance(0, 81, "OK", "SATISFACTORY"), attendance="9N 81P"
    ),
    Example(
        "An unexplained code lowers the coverage, not the rate",
        "Unknown codes are kept as UNMAPPED",
        attendance(0, 81, "OK", "SATISFACTORY") | {"attendance_coverage": 90.0},
        attendance="9? 81P",
    ),
    Example(
        "Days without a row are not counted",
        NO_DATA,
        attendance(0, 71, "OK", "SATISFACTORY"),
        attendance="1P 19. 70P",
    ),
)

FIRST_MONTH = (
    Example(
        "Fewer than 2 days missed in the first month",
        SEPTEMBER,
        attendance(1.5, 60, "OK", "SATISFACTORY"),
        attendance="1A 1H 58P",
    ),
    Example(
        "2 days missed in the first month are WATCH",
        SEPTEMBER,
        judged("WATCH", 20, "missed 2 of the first 20 school days") | attendance(2, 60, "OK", "SATISFACTORY"),
        attendance="2A 58P",
    ),
    Example(
        "4 days missed in the first month are WATCH",
        SEPTEMBER,
        judged(
            "WATCH",
            50,
            "missed 4 of 60 school days (6 %), 0 in the last 20",
            "missed 4 of the first 20 school days",
        )
        | attendance(4, 60, "WATCH", "AT_RISK"),
        attendance="4A 56P",
    ),
    Example(
        "More than 4 days missed in the first month is at risk",
        SEPTEMBER,
        judged(
            "MODERATE",
            70,
            "missed 4.5 of the first 20 school days",
            "missed 4.5 of 60 school days (7 %), 0 in the last 20",
        )
        | attendance(4.5, 60, "WATCH", "AT_RISK"),
        attendance="4A 1H 55P",
    ),
    Example(
        "After 60 school days the first month no longer counts",
        SEPTEMBER,
        judged("WATCH", 30, "missed 5 of 61 school days (8 %), 0 in the last 20")
        | attendance(5, 61, "WATCH", "AT_RISK"),
        attendance="5A 56P",
    ),
    Example(
        "Attendance rate and first month at risk are one domain, not two",
        TIERS,
        judged(
            "MODERATE",
            100,
            "missed 6 of 50 school days (12 %), 0 in the last 20",
            "missed 6 of the first 20 school days",
        )
        | attendance(6, 50, "RISK", "MODERATE_CHRONIC"),
        attendance="6A 44P",
    ),
)

STREAKS = (
    Example(
        "2 days in a row are not a streak",
        LOCAL,
        attendance(3, 71, "OK", "SATISFACTORY", 2, -5.0),
        attendance="50P 1A 18P 2A",
    ),
    Example(
        "3 days in a row are WATCH",
        LOCAL,
        judged("WATCH", 25, "absent 3 school days in a row")
        | attendance(5, 110, "OK", "SATISFACTORY", 3, -5.0)
        | {"streak_flag": "WATCH"},
        attendance="70P 2A 18P 17P 3A",
    ),
    Example(
        "5 days in a row are at risk",
        LOCAL,
        judged(
            "MODERATE",
            60,
            "absent 5 school days in a row",
            "attendance fell by 25 points: missed 5 of the last 20 school days, 0 of the 20 before",
        )
        | attendance(5, 105, "OK", "SATISFACTORY", 5, -25.0)
        | {"streak_flag": "RISK", "trend_flag": "WATCH"},
        attendance="100P 5A",
    ),
    Example(
        "10 days in a row are severe",
        "Arizona ARS 15-901: ten unexcused days in a row count as withdrawal",
        judged(
            "HIGH",
            115,
            "absent 10 school days in a row",
            "missed 10 of 120 school days (8 %), 10 in the last 20",
            "attendance fell by 50 points: missed 10 of the last 20 school days, 0 of the 20 before",
        )
        | attendance(10, 120, "WATCH", "AT_RISK", 10, -50.0)
        | {"streak_flag": "SEVERE", "trend_flag": "WATCH"},
        attendance="110P 10A",
    ),
    Example(
        "One day at school ends a streak",
        LOCAL,
        judged("WATCH", 10, "attendance fell by 20 points: missed 4 of the last 20 school days, 0 of the 20 before")
        | attendance(4, 100, "OK", "SATISFACTORY", 0, -20.0)
        | {"trend_flag": "WATCH"},
        attendance="95P 4A 1P",
    ),
    Example(
        "Half a day at school ends a streak",
        LOCAL,
        judged("WATCH", 10, "attendance fell by 22.5 points: missed 4.5 of the last 20 school days, 0 of the 20 before")
        | attendance(4.5, 100, "OK", "SATISFACTORY", 0, -22.5)
        | {"trend_flag": "WATCH"},
        attendance="95P 4A 1H",
    ),
    Example(
        "A day without school does not end a streak",
        LOCAL,
        judged(
            "MODERATE",
            60,
            "absent 5 school days in a row",
            "attendance fell by 25 points: missed 5 of the last 20 school days, 0 of the 20 before",
        )
        | attendance(5, 105, "OK", "SATISFACTORY", 5, -25.0)
        | {"streak_flag": "RISK", "trend_flag": "WATCH"},
        attendance="100P 2A 1N 3A",
    ),
)

TRENDS = (
    Example(
        "A fall of 10 points is WATCH",
        LOCAL,
        judged("WATCH", 10, "attendance fell by 10 points: missed 2 of the last 20 school days, 0 of the 20 before")
        | attendance(2, 70, "OK", "SATISFACTORY", 0, -10.0)
        | {"trend_flag": "WATCH"},
        attendance="60P 2A 8P",
    ),
    Example(
        "A fall of 5 points is not WATCH",
        LOCAL,
        attendance(1, 70, "OK", "SATISFACTORY", 0, -5.0),
        attendance="60P 1A 9P",
    ),
    Example(
        "A student who returned has a rising trend",
        LOCAL,
        judged("WATCH", 30, "missed 5 of 70 school days (7 %), 0 in the last 20")
        | attendance(5, 70, "WATCH", "AT_RISK", 0, 25.0),
        attendance="40P 5A 25P",
    ),
    Example(
        "A trend needs ten days on each side",
        LOCAL,
        attendance(1, 29, "OK", "SATISFACTORY", 0, -5.0) | NO_TREND | {"data_coverage": of_nine(1)},
        attendance="19P 1A 9P",
    ),
)

PERIODS = (
    Example(
        "One of three subjects missed each day is a third of each day",
        "Subject attendance is converted to days by the share of periods",
        judged(
            "HIGH",
            130,
            "missed 10 of 30 school days (33 %), 6.7 in the last 20",
            "missed 6.7 of the first 20 school days",
        )
        | attendance(10, 30, "SEVERE", "SEVERE_CHRONIC", 0, 0.0)
        | {"data_coverage": of_nine(0)},
        attendance="",
        periods={"Math": "30A", "English": "30P", "Science": "30P"},
    ),
    Example(
        "A subject with an unexplained code does not count in the day",
        "Unknown codes are kept as UNMAPPED",
        judged(
            "HIGH",
            130,
            "missed 15 of 30 school days (50 %), 10 in the last 20",
            "missed 10 of the first 20 school days",
        )
        | attendance(15, 30, "SEVERE", "SEVERE_CHRONIC", 0, 0.0)
        | {"data_coverage": of_nine(0)},
        attendance="",
        periods={"Math": "30A", "English": "30P", "Science": "30?"},
    ),
)

COURSES = (
    Example(
        "60 is a passing grade",
        "The pass mark is that of data/reference/dim_letter_grades.csv",
        judged("WATCH", 20, "average score 60 % over 4 scores (limit 70 %)")
        | {"average_score": 60.0, "score_flag": "WATCH", "score_change": 0.0},
        scores="Math 60 60; English 60 60",
    ),
    Example(
        "59.9 in one core course is a failed course",
        BALFANZ,
        judged("MODERATE", 50, "failing 1 of 2 core courses")
        | {"courses_failing": 1, "courses_flag": "RISK", "average_score": 77.45, "score_change": 0.0},
        scores="Math 59.9 59.9; English 95 95",
    ),
    Example(
        "Two failed core courses are severe",
        ON_TRACK,
        judged("HIGH", 75, "failing 2 of 3 core courses")
        | {"courses_failing": 2, "courses_flag": "SEVERE", "average_score": 72.33, "score_change": 0.0},
        scores="Math 59 59; English 59 59; Science 99 99",
    ),
    Example(
        "A failed course and a low average are one domain, not two",
        TIERS,
        judged("MODERATE", 90, "failing 1 of 2 core courses", "average score 58 % over 4 scores (limit 60 %)")
        | {
            "courses_failing": 1,
            "courses_flag": "RISK",
            "average_score": 58.0,
            "score_flag": "RISK",
            "score_change": 0.0,
        },
        scores="Math 50 50; English 66 66",
    ),
    Example(
        "An average below 50 is severe",
        LOCAL,
        judged("HIGH", 135, "failing 2 of 2 core courses", "average score 49.9 % over 4 scores (limit 50 %)")
        | {
            "courses_failing": 2,
            "courses_flag": "SEVERE",
            "average_score": 49.9,
            "score_flag": "SEVERE",
            "score_change": 0.0,
        },
        scores="Math 49.9 49.9; English 49.9 49.9",
    ),
    Example(
        "69.99 is shown as 69.9, not as 70",
        "Values are truncated, not rounded, so that they never seem to reach a limit that they have not reached",
        judged("WATCH", 20, "average score 69.9 % over 4 scores (limit 70 %)")
        | {"average_score": 69.99, "score_flag": "WATCH", "score_change": 0.0},
        scores="Math 69.99 69.99; English 69.99 69.99",
    ),
    Example(
        "105 of 100 is excluded from averages",
        HONEST,
        judged("MODERATE", 50, "failing 1 of 2 core courses")
        | {"courses_failing": 1, "courses_flag": "RISK", "average_score": 80.0}
        | ONE_COURSE
        | {"score_change": 0.0, "data_coverage": of_eight(1)},
        scores="Math 50 105; English 95 95",
    ),
    Example(
        "Impossible scores alone count as no data",
        HONEST,
        judged(UNKNOWN, 0) | NO_SCORES | {"data_coverage": of_eight(3)},
        scores="Math 105; English 110",
    ),
    Example(
        "One score is too few for an average",
        LOCAL,
        judged(UNKNOWN, 0) | {"average_score": 80.0, "score_flag": UNKNOWN, "data_coverage": of_eight(2)} | ONE_COURSE,
        scores="Math 80",
    ),
    Example(
        "Newest scores 15 points below the earlier ones are WATCH",
        LOCAL,
        judged("WATCH", 10, "newest scores 15 points below the earlier ones in 2 subjects")
        | {"average_score": 85.0, "score_change": -15.0, "score_trend_flag": "WATCH"},
        scores="Math 90 90 75; English 90 90 75",
    ),
    Example(
        "A fall in only one subject is not a trend",
        LOCAL,
        {"average_score": 84.0, "score_change": -30.0, "score_trend_flag": UNKNOWN, "data_coverage": of_eight(1)},
        scores="Math 95 65; English 92",
    ),
)

HOMEWORK = (
    Example(
        "3 of 10 assignments missing in four weeks are WATCH",
        LOCAL,
        judged("WATCH", 10, "3 of 10 homework assignments missing in the last 28 days (30 %)")
        | {"homework_missing_rate": 30.0, "homework_flag": "WATCH"},
        homework="3M 7D",
    ),
    Example(
        "Half of the assignments missing is at risk",
        LOCAL,
        judged("MODERATE", 20, "4 of 8 homework assignments missing in the last 28 days (50 %)")
        | {"homework_missing_rate": 50.0, "homework_flag": "RISK"},
        homework="4D 4M",
    ),
    Example(
        "Assignments missing more than four weeks ago do not count",
        LOCAL,
        {},
        homework="5M 10D",
    ),
    Example(
        "Three assignments are too few for a judgment",
        LOCAL,
        {"homework_missing_rate": 100.0, "homework_flag": UNKNOWN, "data_coverage": of_eight(1)},
        homework="3M",
    ),
    Example(
        "An open assignment is not counted",
        REFERENCE.replace("attendance_codes", "homework_statuses").replace("the codes", "the statuses"),
        {"homework_missing_rate": 25.0},
        homework="4O 1M 3D",
    ),
)

CONTACTS = (
    Example(
        "At risk and no contact for 60 days",
        CONTACT,
        judged(
            "MODERATE",
            65,
            "missed 9 of 90 school days (10 %), 0 in the last 20",
            "no two-way contact with the family for 60 days",
        )
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC")
        | {"days_without_contact": 60, "contact_flag": "WATCH"},
        attendance="9A 81P",
        contacts="60F",
    ),
    Example(
        "59 days are not yet a gap",
        CONTACT,
        judged("MODERATE", 60, "missed 9 of 90 school days (10 %), 0 in the last 20")
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC")
        | {"days_without_contact": 59},
        attendance="9A 81P",
        contacts="59T",
    ),
    Example(
        "An automatic reminder is not a contact",
        CONTACT,
        judged(
            "MODERATE",
            65,
            "missed 9 of 90 school days (10 %), 0 in the last 20",
            "no two-way contact with the family for 70 days",
        )
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC")
        | {"days_without_contact": 70, "contact_flag": "WATCH"},
        attendance="9A 81P",
        contacts="70T 2R",
    ),
    Example("A contact gap alone is not a risk", CONTACT, {"days_without_contact": 80}, contacts="80T"),
    Example(
        "A contact gap of a WATCH student is not a risk",
        CONTACT,
        judged("WATCH", 30, "missed 8 of 90 school days (8 %), 0 in the last 20")
        | attendance(8, 90, "WATCH", "AT_RISK")
        | {"days_without_contact": 80},
        attendance="8A 82P",
        contacts="80T",
    ),
    Example(
        "Without any contact, days count from the first message of the district",
        CONTACT,
        judged(
            "MODERATE",
            65,
            "missed 9 of 90 school days (10 %), 0 in the last 20",
            "no two-way contact with the family for 100 days",
        )
        | attendance(9, 90, "RISK", "MODERATE_CHRONIC")
        | {"days_without_contact": 100, "contact_flag": "WATCH"},
        attendance="9A 81P",
        contacts="",
    ),
)

TOGETHER = (
    Example(
        "At risk in two domains is HIGH, and every reason is given",
        TIERS,
        judged(
            "HIGH",
            155,
            "missed 10 of 90 school days (11 %), 0 in the last 20",
            "failing 1 of 2 core courses",
            "4 of 8 homework assignments missing in the last 28 days (50 %)",
            "average score 69.5 % over 4 scores (limit 70 %)",
            "no two-way contact with the family for 90 days",
        )
        | attendance(10, 90, "RISK", "MODERATE_CHRONIC")
        | {
            "courses_failing": 1,
            "courses_flag": "RISK",
            "average_score": 69.5,
            "score_flag": "WATCH",
            "score_change": 0.0,
            "homework_missing_rate": 50.0,
            "homework_flag": "RISK",
            "days_without_contact": 90,
            "contact_flag": "WATCH",
        },
        attendance="10A 80P",
        scores="Math 59 59; English 80 80",
        homework="4M 4D",
        contacts="90T",
    ),
    Example(
        "One severe indicator is HIGH",
        TIERS,
        judged("HIGH", 90, "missed 20 of 100 school days (20 %), 0 in the last 20")
        | attendance(20, 100, "SEVERE", "SEVERE_CHRONIC"),
        attendance="20A 80P",
    ),
    Example(
        "Three WATCH indicators are WATCH",
        TIERS,
        judged(
            "WATCH",
            60,
            "missed 8 of 90 school days (8 %), 0 in the last 20",
            "average score 69 % over 4 scores (limit 70 %)",
            "3 of 8 homework assignments missing in the last 28 days (37 %)",
        )
        | attendance(8, 90, "WATCH", "AT_RISK")
        | {
            "average_score": 69.0,
            "score_flag": "WATCH",
            "score_change": 0.0,
            "homework_missing_rate": 37.5,
            "homework_flag": "WATCH",
        },
        attendance="8A 82P",
        scores="Math 69 69; English 69 69",
        homework="3M 5D",
    ),
)

DEFAULT = World(
    "default rules",
    (
        *AMOUNTS,
        *BOUNDARIES,
        *CODES,
        *FIRST_MONTH,
        *STREAKS,
        *TRENDS,
        *PERIODS,
        *COURSES,
        *HOMEWORK,
        *CONTACTS,
        *TOGETHER,
    ),
    CALM,
)

SEED_CALM = CALM | {
    "streak_flag": UNKNOWN,
    "trend_flag": UNKNOWN,
    "days_absent_in_a_row": None,
    "attendance_change": None,
    "courses_failing": None,
    "courses_flag": UNKNOWN,
    "score_change": None,
    "score_trend_flag": UNKNOWN,
    "homework_missing_rate": None,
    "days_without_contact": None,
    "contact_flag": UNKNOWN,
    "rule_set": "seed",
}
SEED = World(
    "seed rules",
    (
        Example("Seed: no problems", ORIGINAL, {}),
        Example(
            "Seed: 80 % present is not below 80 %",
            ORIGINAL,
            {
                "attendance_rate": 80.0,
                "days_recorded": 90,
                "days_absent": 18.0,
                "chronic_absence_tier": "SEVERE_CHRONIC",
            },
            attendance="18A 72P",
        ),
        Example(
            "Seed: below 80 % present",
            ORIGINAL,
            judged("MODERATE", 60, "missed 19 of 90 school days (21 %), 0 in the last 20")
            | {
                "attendance_rate": 78.89,
                "attendance_flag": "RISK",
                "days_recorded": 90,
                "days_absent": 19.0,
                "chronic_absence_tier": "SEVERE_CHRONIC",
            },
            attendance="19A 71P",
        ),
        Example(
            "Seed: average below 60",
            ORIGINAL,
            judged("MODERATE", 40, "average score 59.5 % over 2 scores (limit 60 %)")
            | {"average_score": 59.5, "score_flag": "RISK"},
            scores="Math 59; English 60",
        ),
        Example(
            "Seed: homework completion below 50 %",
            ORIGINAL,
            judged("MODERATE", 20, "homework completion 49.5 % (limit 50 %)") | {"homework_flag": "RISK"},
            scores="Math 80/49 85/50; English 88/49 90/50",
        ),
        Example(
            "Seed: one day is enough for a judgment",
            ORIGINAL,
            judged("MODERATE", 60, "missed 1 of 1 school days (100 %), 1 in the last 1")
            | {
                "attendance_rate": 0.0,
                "attendance_flag": "RISK",
                "days_recorded": 1,
                "days_absent": 1.0,
                "chronic_absence_tier": "SEVERE_CHRONIC",
            },
            attendance="1A",
        ),
    ),
    SEED_CALM,
    settings={"RULE_SET": "seed"},
)

HALF_CALM = CALM | {"data_coverage": of_nine(0)} | attendance(0, 30, "OK", "SATISFACTORY")
DAY_RULES = "STUDENT360_DAY_RULE: a district configures how periods are converted to a day"
HALF = World(
    "half a day missed is a day missed",
    (
        Example(
            "Half: two of four periods missed is a day missed",
            DAY_RULES,
            judged(
                "HIGH",
                205,
                "missed 30 of 30 school days (100 %), 20 in the last 20",
                "absent 30 school days in a row",
                "missed 20 of the first 20 school days",
            )
            | attendance(30, 30, "SEVERE", "SEVERE_CHRONIC", 30, 0.0)
            | {"streak_flag": "SEVERE"},
            attendance="",
            periods={"Math": "30A", "English": "30P", "Science": "30P", "History": "30A"},
        ),
        Example(
            "Half: one of four periods missed is not a day missed",
            DAY_RULES,
            {},
            attendance="",
            periods={"Math": "30A", "English": "30P", "Science": "30P", "History": "30P"},
        ),
    ),
    HALF_CALM,
    settings={"DAY_RULE": "half"},
)
ANY = World(
    "any part of a day missed is a day missed",
    (
        Example(
            "Any: one of four periods missed is a day missed",
            DAY_RULES,
            judged(
                "WATCH",
                50,
                "missed 2 of 30 school days (6 %), 0 in the last 20",
                "missed 2 of the first 20 school days",
            )
            | attendance(2, 30, "WATCH", "AT_RISK", 0, 20.0),
            attendance="",
            periods={"Math": "2A 28P", "English": "30P", "Science": "30P", "History": "30P"},
        ),
    ),
    HALF_CALM,
    settings={"DAY_RULE": "any"},
)

HOLIDAYS = frozenset(date(2025, 12, day) for day in range(22, 32)) | {date(2026, 1, 1), date(2026, 1, 2)}
CALENDAR = (
    "first_date,last_date,event,name,school_id\n"
    "2025-09-01,2026-06-12,school_year,2025-26,\n"
    "2025-12-22,2026-01-02,no_school,Winter,\n"
    "2026-01-19,2026-01-19,no_school,Flood,SCH-2\n"
)
CALENDAR_SAYS = "School days are those of data/reference/dim_dates.csv within the enrollment"
ABSENCES_ONLY = World(
    "absences only",
    (
        Example(
            "Absences only: a school day without a row counts as attended",
            CALENDAR_SAYS,
            judged("WATCH", 30, "missed 8 of 100 school days (8 %), 0 in the last 20")
            | attendance(8, 100, "WATCH", "AT_RISK"),
            attendance="8A 92.",
        ),
        Example(
            "Absences only: 10 of 100 school days missed is chronic absence",
            CALENDAR_SAYS,
            judged("MODERATE", 60, "missed 10 of 100 school days (10 %), 0 in the last 20")
            | attendance(10, 100, "RISK", "MODERATE_CHRONIC"),
            attendance="10A 90.",
        ),
        Example(
            "Absences only: days count from the first day of enrollment",
            CALENDAR_SAYS,
            judged(
                "MODERATE",
                100,
                "missed 5 of 50 school days (10 %), 0 in the last 20",
                "missed 5 of the first 20 school days",
            )
            | attendance(5, 50, "RISK", "MODERATE_CHRONIC")
            | {"data_coverage": of_nine(0)},
            attendance="5A 45.",
            enrolled_on="2025-11-10",
        ),
        Example(
            "Absences only: a day on which the student's school is closed is not counted",
            CALENDAR_SAYS,
            attendance(0, 99, "OK", "SATISFACTORY"),
            attendance="",
            school="SCH-2",
        ),
        Example(
            "Absences only: the last day with a row is the last day that counts",
            CALENDAR_SAYS,
            attendance(1, 100, "OK", "SATISFACTORY", 1, -5.0),
            attendance="99. 1A",
        ),
        Example(
            "Absences only: half a day missed counts as half a day",
            CALENDAR_SAYS,
            attendance(0.5, 100, "OK", "SATISFACTORY"),
            attendance="1H 99.",
        ),
    ),
    CALM | attendance(0, 100, "OK", "SATISFACTORY"),
    settings={"ATTENDANCE_SENT": "absences_only"},
    reference={"dim_dates.csv": CALENDAR},
    days_off=HOLIDAYS,
)
CLOSED = World(
    "calendar",
    (
        Example(
            "Rows for a day without school do not count",
            CALENDAR_SAYS,
            attendance(0, 90, "OK", "SATISFACTORY"),
            attendance="70P 10A 20P",
        ),
        Example("A day on which one school is closed counts for the others", CALENDAR_SAYS, {}),
        Example(
            "A day on which one school is closed does not count for its students",
            CALENDAR_SAYS,
            attendance(0, 59, "OK", "SATISFACTORY"),
            school="SCH-2",
        ),
        Example(
            "A student who changed school keeps one rate",
            "A transfer does not reset the counters (docs/reference/risk-monitor.md)",
            judged("MODERATE", 60, "missed 9 of 90 school days (10 %), 0 in the last 20")
            | attendance(9, 90, "RISK", "MODERATE_CHRONIC")
            | {"school_id": "SCH-3"},
            attendance="9A 91P",
            later_school=("SCH-3", date(2025, 12, 1)),
        ),
    ),
    CALM | attendance(0, 60, "OK", "SATISFACTORY"),
    reference={"dim_dates.csv": CALENDAR},
)

HEAD = (
    "rule_set,indicator,grade_band,school_id,level,comparator,threshold,window_size,minimum_data,weight,citation,"
    "valid_from,valid_to\n"
)
SCOPED_RULES = HEAD + (
    "default,attendance_rate,,,risk,le,90,,10,30,for all,1990-01-01,2025-09-01\n"
    "default,attendance_rate,,,risk,le,85,,10,30,for all since September 2025,2025-09-01,\n"
    "default,attendance_rate,High,,risk,le,92,,10,30,for high schools,1990-01-01,\n"
    "default,attendance_rate,,SCH-9,risk,le,97,,10,30,for one school,1990-01-01,\n"
)
SCOPES = "Rules of a school take precedence over rules of a grade band, and these over rules for all"
ONE_RULE = {
    **SEED_CALM,
    "rule_set": "default",
    "average_score": None,
    "score_flag": UNKNOWN,
    "homework_flag": UNKNOWN,
}
SCOPED = World(
    "rules by grade band, school and date",
    (
        Example(
            "The rule in force on the day is applied, not an earlier one",
            "Rules have a validity period",
            {
                "attendance_rate": 90.0,
                "days_recorded": 90,
                "days_absent": 9.0,
                "chronic_absence_tier": "MODERATE_CHRONIC",
            },
            attendance="9A 81P",
        ),
        Example(
            "A grade band can have its own rule",
            SCOPES,
            judged("MODERATE", 60, "missed 8 of 90 school days (8 %), 0 in the last 20")
            | {
                "attendance_rate": 91.11,
                "attendance_flag": "RISK",
                "days_recorded": 90,
                "days_absent": 8.0,
                "chronic_absence_tier": "AT_RISK",
            },
            attendance="8A 82P",
            grade="Grade 10",
        ),
        Example(
            "A school can have its own rule, which takes precedence over that of the grade band",
            SCOPES,
            judged("MODERATE", 60, "missed 3 of 90 school days (3 %), 0 in the last 20")
            | {
                "attendance_rate": 96.67,
                "attendance_flag": "RISK",
                "days_recorded": 90,
                "days_absent": 3.0,
                "chronic_absence_tier": "SATISFACTORY",
            },
            attendance="3A 87P",
            grade="Grade 10",
            school="SCH-9",
        ),
        Example(
            "Other students are judged by the rule for all",
            SCOPES,
            judged("MODERATE", 60, "missed 14 of 90 school days (15 %), 0 in the last 20")
            | {
                "attendance_rate": 84.44,
                "attendance_flag": "RISK",
                "days_recorded": 90,
                "days_absent": 14.0,
                "chronic_absence_tier": "MODERATE_CHRONIC",
            },
            attendance="14A 76P",
        ),
    ),
    ONE_RULE,
    reference={"risk_rules.csv": SCOPED_RULES},
)
SPANISH = World(
    "in Spanish",
    (
        Example(
            "Reasons in another language",
            "Texts are reference data: data/reference/risk_texts.csv",
            judged("MODERATE", 60, "faltó 9 de 90 días de clase (10 %), 0 en los últimos 20")
            | attendance(9, 90, "RISK", "MODERATE_CHRONIC"),
            attendance="9A 81P",
        ),
    ),
    CALM,
    settings={"LANGUAGE": "es"},
)
JULY = World(
    "the school year starts in July",
    (
        Example(
            "Days of the previous school year do not count",
            "A school year is named by the year in which it ends and derived from the row's date",
            judged(UNKNOWN, 0)
            | attendance(0, 3, UNKNOWN, None, change=None)
            | TOO_FEW_DAYS
            | NO_SCORES
            | NO_HOMEWORK
            | {"data_coverage": of_nine(8)},
            attendance="20A 3P",
            scores="",
            homework="",
        ),
    ),
    CALM | {"known_until": "2026-07-03"},
    last_day=date(2026, 7, 3),
)

WORLDS = (DEFAULT, SEED, HALF, ANY, ABSENCES_ONLY, CLOSED, SCOPED, SPANISH, JULY)
