"""The expressions of the teams' dashboards, and what they have to give after the traffic of `test_promql`.

Its second round sends: 20 requests to the classifier, one of them wrong, with 19 predictions; 8 dialogues; 24
frames to the detector; and to sparklio 8 executions of agents, one of which fails. Prometheus extends what a
series has increased by up to half a scrape at either end: after seconds, that shows.
"""

from __future__ import annotations

POSITIVE = (1e-12, 1e12)

# By what is asked: the expression, and between what its value lies.
ONE_VALUE: dict[str, tuple[str, tuple[float, float]]] = {
    "rate of requests": ('sum(rate(http_requests_total{job="classifier"}[5m]))', (19.9 / 300, 40 / 300)),
    "P50 of requests": (
        (
            "histogram_quantile(0.50, sum by (le)"
            ' (rate(http_request_duration_seconds_bucket{job="classifier"}[5m])))'
        ),
        (1e-4, 1),
    ),
    "P95 of requests": (
        (
            "histogram_quantile(0.95, sum by (le)"
            ' (rate(http_request_duration_seconds_bucket{job="classifier"}[5m])))'
        ),
        (1e-4, 5),
    ),
    "P99 of requests": (
        (
            "histogram_quantile(0.99, sum by (le)"
            ' (rate(http_request_duration_seconds_bucket{job="classifier"}[5m])))'
        ),
        (1e-4, 10),
    ),
    "P95 of the inference": (
        "histogram_quantile(0.95, rate(inference_duration_seconds_bucket[5m]))",
        (1e-6, 5),
    ),
    "mean of the inference": (
        "rate(inference_duration_seconds_sum[5m]) / rate(inference_duration_seconds_count[5m])",
        (1e-6, 5),
    ),
    "hit rate percent": ("cache_hit_rate * 100", (1, 99)),
    "hit rate percent over time": (
        "rate(cache_hits_total[5m]) / (rate(cache_hits_total[5m]) + rate(cache_misses_total[5m])) * 100",
        (1, 100),
    ),
    "cache utilisation percent": ("cache_size_current / 256 * 100", (1, 100)),
    "the model is loaded": ("model_state", (1, 1)),
    "memory growth": ('deriv(process_memory_bytes{type="rss",job="classifier"}[5m])', (-1e8, 1e8)),
    "memory growth by increase": (
        'delta(process_memory_bytes{type="rss",job="classifier"}[1h])',
        (-1e9, 1e9),
    ),
    "resident memory of all workers": ('process_resident_memory_bytes{job="classifier"}', (1e8, 2e9)),
    "memory of the largest worker": ('max(otel_obs_worker_memory_bytes{job="classifier"})', (5e7, 1e9)),
    "workers": ('otel_obs_workers{job="classifier"}', (2, 2)),
    "workers that have started": ('otel_obs_workers_started_total{job="classifier"}', (2, 2)),
    "P95 of the event loop's lag": (
        "histogram_quantile(0.95, sum by (le) (rate(event_loop_lag_seconds_bucket[5m])))",
        (1e-6, 5),
    ),
    "CPU": ('rate(process_cpu_seconds_total{job="classifier"}[5m])', POSITIVE),
    "error ratio of requests": (
        (
            'sum(rate(http_requests_total{job="classifier",status=~"4..|5.."}[5m]))'
            ' / sum(rate(http_requests_total{job="classifier"}[5m]))'
        ),
        (0.04, 0.06),
    ),
    "error ratio of predictions": (
        'sum(rate(predictions_total{status="error"}[5m])) / sum(rate(predictions_total[5m]))',
        (0.042, 0.064),
    ),
    "sessions per hour": ("sum(increase(dialogue_sessions_total[1h]))", (7.9, 20)),
    "turns per session": (
        "sum(rate(dialogue_turns_total[1h])) / sum(rate(dialogue_sessions_total[1h]))",
        (1, 3),
    ),
    "completion rate percent": (
        "sum(rate(dialogue_completions_total[1h])) / sum(rate(dialogue_sessions_total[1h])) * 100",
        (10, 100),
    ),
    "tokens per hour": ("sum(increase(llm_tokens_total[1h]))", (100, 1e6)),
    "cost per hour": ("sum(increase(llm_cost_usd_total[1h]))", (1e-6, 1)),
    "cost of a thousand sessions": (
        "sum(rate(llm_cost_usd_total[1h])) / sum(rate(dialogue_sessions_total[1h])) * 1000",
        (1e-4, 100),
    ),
    "share of calls that stand in": (
        'sum(rate(llm_calls_total{status="fallback"}[5m])) / sum(rate(llm_calls_total[5m]))',
        (0.01, 0.5),
    ),
    "P95 of the retrieval": (
        "histogram_quantile(0.95, sum by (le) (rate(retrieval_duration_seconds_bucket[5m])))",
        (1e-6, 1),
    ),
    "evidence found, median": (
        "histogram_quantile(0.5, sum by (le) (rate(evidence_count_bucket[5m])))",
        (0, 10),
    ),
    "requests of sparklio": ("sum(rate(sparklio_http_requests_total[5m]))", POSITIVE),
    "agents that fail": (
        (
            'sum(rate(sparklio_agent_executions_total{status="error"}[5m]))'
            " / sum(rate(sparklio_agent_executions_total[5m]))"
        ),
        (0.1, 0.15),
    ),
    "workflows now": ("sparklio_workflows_active", (0, 0)),
    "size of the context, P95": (
        "histogram_quantile(0.95, rate(sparklio_context_size_bytes_bucket[5m]))",
        (1, 1e6),
    ),
    "P95 of queries": (
        "histogram_quantile(0.95, sum by (le) (rate(sparklio_db_query_duration_seconds_bucket[5m])))",
        (1e-6, 5),
    ),
    "connections of the pools in use": ('sparklio_db_connections{state="used"}', (0, 20)),
    "detection throughput": ("sum(rate(detection_total[1m]))", (23.9 / 60, 48 / 60)),
    "P95 of detections": (
        "histogram_quantile(0.95, sum by (le) (rate(detection_latency_seconds_bucket[5m])))",
        (1e-6, 5),
    ),
    "objects in a frame": (
        "rate(detection_objects_sum[5m]) / rate(detection_objects_count[5m])",
        (2, 8),
    ),
    "rate of the detector's requests": ("sum(rate(flask_http_request_total[5m]))", POSITIVE),
    "P95 of the detector's model": (
        "histogram_quantile(0.95, sum by (le) (rate(llm_latency_seconds_bucket[5m])))",
        (1e-6, 10),
    ),
    "worst success of a key": ("min(api_key_success_rate)", (0, 0)),
}

# By what is asked: the expression, the label that it is by, and what has to be there.
BY_LABEL: dict[str, tuple[str, str, set[str]]] = {
    "requests per second by endpoint": (
        'sum by (endpoint) (rate(http_requests_total{job="classifier"}[5m]))',
        "endpoint",
        {"/predict", "/health"},
    ),
    "requests per second by endpoint, reviewlens": (
        'sum by (endpoint) (rate(http_requests_total{job="reviewlens"}[5m]))',
        "endpoint",
        {"/sessions", "/sessions/{session_id}/turns"},
    ),
    "P95 by endpoint": (
        (
            "histogram_quantile(0.95, sum by (le, endpoint)"
            ' (rate(http_request_duration_seconds_bucket{job="reviewlens"}[5m])))'
        ),
        "endpoint",
        {"/sessions", "/sessions/{session_id}/turns"},
    ),
    "predictions by status": (
        "sum by (status) (rate(predictions_total[5m]))",
        "status",
        {"success", "cache_hit", "error"},
    ),
    "sessions per hour by category": (
        "sum by (category) (increase(dialogue_sessions_total[1h]))",
        "category",
        {"camera", "phone", "mp3_player", "dvd_player"},
    ),
    "distribution of providers": (
        (
            "sum by (provider) (rate(llm_calls_total[5m])) / ignoring(provider) group_left"
            " sum(rate(llm_calls_total[5m])) * 100"
        ),
        "provider",
        {"gemini", "openai", "claude"},
    ),
    "LLM P95 by provider": (
        "histogram_quantile(0.95, sum by (le, provider) (rate(llm_duration_seconds_bucket[5m])))",
        "provider",
        {"gemini", "openai", "claude"},
    ),
    "tokens per hour by type": (
        "sum by (type) (rate(llm_tokens_total[1h])) * 3600",
        "type",
        {"prompt", "completion"},
    ),
    "cost per hour by provider": (
        "sum by (provider) (rate(llm_cost_usd_total[1h])) * 3600",
        "provider",
        {"gemini", "openai", "claude"},
    ),
    "errors by component": (
        "sum by (component) (rate(errors_total[5m]))",
        "component",
        {"llm.gemini", "retrieval"},
    ),
    "agents by name": (
        "sum by (agent) (rate(sparklio_agent_executions_total[5m]))",
        "agent",
        {"researcher", "writer", "editor"},
    ),
    "workflows by name": (
        'sum by (workflow) (rate(sparklio_workflows_total{status="success"}[5m]))',
        "workflow",
        {"brief", "digest"},
    ),
    "queries by operation": (
        'sum by (operation) (rate(sparklio_db_queries_total{status="success"}[5m]))',
        "operation",
        {"SELECT", "INSERT"},
    ),
    "detection throughput by camera": (
        "sum by (camera_id) (rate(detection_total[1m]))",
        "camera_id",
        {"entrance", "yard", "street"},
    ),
    "success of keys": ("api_key_success_rate", "key_id", {"main", "spare"}),
    "who is up": ("up", "job", {"classifier", "reviewlens", "sparklio", "detector"}),
}
