"""Panels on language models, API keys, dialogues, and retrieval."""

from __future__ import annotations

from otel_obs.ops.panels.panel import (
    GREEN,
    OUTCOMES,
    RED,
    YELLOW,
    Caption,
    Curve,
    Panel,
    Section,
    heat,
    mean,
    percentile,
)

_CALLS = "sum by (provider) (rate(llm_calls_total[$__rate_interval]))"
_FAILED = 'sum by (provider) (rate(llm_calls_total{status="error"}[$__rate_interval]))'
_GOOD_SHARE = ((None, RED), (0.8, YELLOW), (0.95, GREEN))

CALLS = Panel(
    "llm-calls",
    "timeseries",
    "cpm",
    Caption("Calls per minute", "Calls of language models, by provider."),
    Caption("분당 LLM 호출", "공급자별 분당 호출 수입니다."),
    (Curve(f"60 * {_CALLS}", "{{provider}}"),),
    is_stacked=True,
    width=8,
)
SUCCESS = Panel(
    "llm-success",
    "timeseries",
    "percentunit",
    Caption("Calls that succeed", "By provider. LLMProviderFailing fires when more than 20% fail."),
    Caption("LLM 성공률", "공급자별 성공률입니다. 20%를 넘게 실패하면 LLMProviderFailing 알림이 발생합니다."),
    (Curve(f"1 - ({_FAILED} or 0 * {_CALLS}) / {_CALLS}", "{{provider}}"),),
    steps=_GOOD_SHARE,
    high=1,
    width=8,
)
LATENCY = Panel(
    "llm-latency",
    "timeseries",
    "s",
    Caption("Mean duration", "Seconds of a call on average, by provider."),
    Caption("평균 호출 시간", "공급자별 평균 호출 시간입니다."),
    (Curve(mean("llm_duration_seconds", "provider"), "{{provider}}"),),
    width=8,
)
P95 = Panel(
    "llm-p95",
    "timeseries",
    "s",
    Caption("P95 duration", "95% of the calls to each provider are quicker than this."),
    Caption("P95 호출 시간", "공급자별로 호출의 95%가 이 시간 안에 끝납니다."),
    (Curve(percentile("0.95", "llm_duration_seconds", "provider"), "{{provider}}", True),),
    width=8,
)
STATUS = Panel(
    "llm-status",
    "timeseries",
    "cpm",
    Caption("Calls by outcome", "`fallback` is a call that stood in for one that failed."),
    Caption("결과별 호출", "`fallback`은 실패한 호출을 대신한 호출입니다."),
    (Curve("60 * sum by (status) (rate(llm_calls_total[$__rate_interval]))", "{{status}}"),),
    is_stacked=True,
    colours=OUTCOMES,
    width=8,
)
TOKENS = Panel(
    "llm-tokens",
    "timeseries",
    "short",
    Caption("Tokens per minute", "Of prompts and of what was completed."),
    Caption("분당 토큰", "프롬프트와 생성된 토큰 수입니다."),
    (Curve("60 * sum by (type) (rate(llm_tokens_total[$__rate_interval]))", "{{type}}"),),
    is_stacked=True,
    width=8,
)
FIRST_TOKEN = Panel(
    "llm-first-token",
    "timeseries",
    "s",
    Caption("Time to the first token", "P95 of streamed calls, by provider."),
    Caption("첫 토큰까지의 시간", "스트리밍 호출의 공급자별 P95입니다."),
    (Curve(percentile("0.95", "llm_time_to_first_token_seconds", "provider"), "{{provider}}"),),
    width=8,
)
COST = Panel(
    "llm-cost",
    "timeseries",
    "currencyUSD",
    Caption("Cost per hour", "At the prices that the service was told, by provider."),
    Caption("시간당 비용", "서비스에 설정된 가격 기준, 공급자별 비용입니다."),
    (Curve("3600 * sum by (provider) (rate(llm_cost_usd_total[$__rate_interval]))", "{{provider}}"),),
    is_stacked=True,
    width=8,
)
LLM = Section("Language models", "LLM", (CALLS, SUCCESS, LATENCY, P95, STATUS, TOKENS, FIRST_TOKEN, COST))

_KEY_FAILED = "sum by (key_id) (rate(api_key_failures_total[$__rate_interval]))"
KEYS = Section(
    "API keys",
    "API 키",
    (
        Panel(
            "keys-success",
            "bargauge",
            "percentunit",
            Caption(
                "Success of each key",
                "Since the service started. APIKeyFailing looks at the last 10 minutes.",
            ),
            Caption("키별 성공률", "서비스 시작 이후의 성공률입니다. APIKeyFailing은 최근 10분을 봅니다."),
            (Curve("min by (key_id) (api_key_success_rate)", "{{key_id}}"),),
            steps=_GOOD_SHARE,
            high=1,
            width=8,
        ),
        Panel(
            "keys-failures",
            "timeseries",
            "cpm",
            Caption("Calls that failed, by key", "Per minute. Keys are shown by their id."),
            Caption("키별 실패", "분당 실패한 호출입니다. 키는 식별자로만 표시됩니다."),
            (Curve(f"60 * {_KEY_FAILED}", "{{key_id}}"),),
            width=16,
        ),
    ),
)

_SESSIONS = "sum(increase(dialogue_sessions_total[$__range]))"
SESSIONS = Panel(
    "dialogue-sessions",
    "stat",
    "short",
    Caption("Dialogues", "Dialogues that began in the range that is shown."),
    Caption("대화 시작", "표시된 기간에 시작된 대화 수입니다."),
    (Curve(_SESSIONS),),
    width=6,
    decimals=0,
    has_course=False,
)
TURNS_EACH = Panel(
    "dialogue-turns-each",
    "stat",
    "short",
    Caption("Turns in a dialogue", "On average, in the range that is shown."),
    Caption("대화당 턴", "표시된 기간의 평균입니다."),
    (Curve(f"sum(increase(dialogue_turns_total[$__range])) / {_SESSIONS}"),),
    width=6,
    decimals=1,
    has_course=False,
)
COMPLETED = Panel(
    "dialogue-completed",
    "gauge",
    "percentunit",
    Caption("Completed", "Dialogues that reached their end, of those that began in the range."),
    Caption("대화 완료율", "표시된 기간에 시작된 대화 중 끝까지 간 비율입니다."),
    (Curve(f"sum(increase(dialogue_completions_total[$__range])) / {_SESSIONS}"),),
    steps=((None, RED), (0.3, YELLOW), (0.6, GREEN)),
    high=1,
    width=6,
)
WAY = Panel(
    "dialogue-way",
    "timeseries",
    "cpm",
    Caption("The way of a user", "Per minute: dialogues begin, have turns, and are completed."),
    Caption("사용자 여정", "분당 대화 시작, 턴, 완료 수입니다."),
    tuple(
        Curve(f"60 * sum(rate(dialogue_{what}_total[$__rate_interval]))", what)
        for what in ("sessions", "turns", "completions")
    ),
)
BY_CATEGORY = Panel(
    "dialogue-by-category",
    "timeseries",
    "cpm",
    Caption("Turns by category", "What users ask about, per minute."),
    Caption("카테고리별 턴", "사용자가 무엇을 묻는지, 분당 수입니다."),
    (Curve("60 * sum by (category) (rate(dialogue_turns_total[$__rate_interval]))", "{{category}}"),),
    is_stacked=True,
)
DIALOGUE = Section("Dialogues", "대화", (SESSIONS, TURNS_EACH, COMPLETED, WAY, BY_CATEGORY))

PIPELINE = Section(
    "Retrieval and evidence",
    "검색과 근거",
    (
        Panel(
            "pipeline-retrieval",
            "timeseries",
            "s",
            Caption("P95 of the retrieval", "By category."),
            Caption("검색 P95", "카테고리별입니다."),
            (Curve(percentile("0.95", "retrieval_duration_seconds", "category"), "{{category}}"),),
        ),
        Panel(
            "pipeline-scoring",
            "timeseries",
            "s",
            Caption("P95 of the scoring", "By category."),
            Caption("채점 P95", "카테고리별입니다."),
            (Curve(percentile("0.95", "scoring_duration_seconds", "category"), "{{category}}"),),
        ),
        Panel(
            "pipeline-evidence",
            "heatmap",
            "short",
            Caption("Evidence found", "How many retrievals found how many pieces of evidence."),
            Caption("찾은 근거", "근거 개수 구간별 검색 수입니다."),
            heat("evidence_count"),
        ),
        Panel(
            "pipeline-held",
            "timeseries",
            "short",
            Caption("Evidence held", "By dialogues that go on, by category."),
            Caption("보유 중인 근거", "진행 중인 대화가 보유한 근거를 카테고리별로 보여 줍니다."),
            (Curve("sum by (category) (active_evidence_gauge)", "{{category}}"),),
        ),
    ),
)
