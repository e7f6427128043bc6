// Words of the page, in English and in Korean.

const WORDS = {
  en: {
    title: "Live metrics", live: "Live", paused: "Paused", loaded: "From a file", waiting: "Waiting for the first scrape",
    pause: "Pause", resume: "Resume", save: "Save to a file", load: "Load a file", language: "Language", theme: "Theme",
    auto: "Automatic", light: "Light", dark: "Dark", range: "Show the last", minutes: "{0} min", hour: "1 hour",
    overview: "Overview", endpoints: "Endpoints", workers: "Workers", metrics: "All metrics", exemplars: "Exemplars",
    pinned: "Pinned", groups: "Groups", events: "Events", rate: "Requests a second", errors: "Errors, % of requests", latency: "Latency",
    heatmap: "Latency, how many a second by bucket", inProgress: "In progress", errorShare: "Errors", requests: "Requests",
    endpoint: "Endpoint", total: "Total", perSecond: "per s", compare: "Compare", comparedRate: "Requests a second, compared",
    comparedLatency: "p95, compared", worker: "Worker", target: "Target", state: "State", memory: "Memory", cpu: "CPU",
    threads: "Threads", files: "Open files", age: "Age", alive: "alive", gone: "gone", search: "Search metrics by name, help or type",
    metric: "Metric", type: "Type", unit: "Unit", labels: "Labels", series: "Series", value: "Last value", pin: "Pin",
    unpin: "Unpin", close: "Close", filter: "Filter", clear: "Clear", time: "Time", trace: "Trace id", copy: "Copy",
    copied: "Copied", asTable: "Show as a table", hideTable: "Hide the table", nothing: "Nothing yet", noRequests: "This service exposes no request metrics that can be recognised.",
    noWorkers: "This service exposes no metrics by worker.", noExemplars: "No exemplars: they appear when requests are traced.",
    marked: "Marked {0} – {1}", sum: "total {0}", mean: "mean {0}", zoom: "Zoom in", allTime: "Back to live", more: "and {0} more",
    summary: "{0} series in {1} families", left: "{0} more are not shown: there is room for so many", down: "{0} is down: {1}", gone_e: "{0} does not answer", back_e: "{0} answers again",
    workerStarted_e: "worker {0} has started", workerGone_e: "worker {0} is gone", keys: "Left and right move the cursor, M marks, Enter zooms in, Escape goes back.",
    notLoaded: "This is no file that was saved here.", model: "Model", cache: "Cache", llm: "LLM", dialogue: "Dialogue", retrieval: "Retrieval",
    agents: "Agents and workflows", database: "Database", detection: "Detection", faults: "Errors", runtime: "Runtime", websocket: "Websockets",
    heatKeys: "Left and right move the cursor, up and down move between buckets, M marks, Enter zooms in, Escape goes back.",
    tableKeys: "Up and down move the cursor, M marks, Enter zooms in, Escape goes back.", openTrace: "Open trace {0}", selected: "Selected; copy it now",
    skip: "Skip to the content", values: "Values", all: "All", endpointFilter: "Only {0}", openMetric: "Open {0}", sortBy: "Sort by {0}", second: "s", none: "none",
  },
  ko: {
    title: "실시간 메트릭", live: "실시간", paused: "일시정지", loaded: "파일에서 읽음", waiting: "첫 수집을 기다리는 중",
    pause: "일시정지", resume: "다시 시작", save: "파일로 저장", load: "파일 열기", language: "언어", theme: "테마",
    auto: "자동", light: "밝게", dark: "어둡게", range: "표시 기간", minutes: "{0}분", hour: "1시간",
    overview: "개요", endpoints: "엔드포인트", workers: "워커", metrics: "모든 메트릭", exemplars: "예시(exemplar)",
    pinned: "고정한 메트릭", groups: "그룹", events: "이벤트", rate: "초당 요청 수", errors: "오류, 요청 중 %", latency: "지연 시간",
    heatmap: "지연 시간 분포, 구간별 초당 건수", inProgress: "처리 중", errorShare: "오류", requests: "요청",
    endpoint: "엔드포인트", total: "누계", perSecond: "초당", compare: "비교", comparedRate: "초당 요청 수 비교",
    comparedLatency: "p95 비교", worker: "워커", target: "대상", state: "상태", memory: "메모리", cpu: "CPU",
    threads: "스레드", files: "열린 파일", age: "가동 시간", alive: "동작 중", gone: "종료됨", search: "이름, 설명, 타입으로 메트릭 검색",
    metric: "메트릭", type: "타입", unit: "단위", labels: "레이블", series: "시계열", value: "최근 값", pin: "고정",
    unpin: "고정 해제", close: "닫기", filter: "필터", clear: "지우기", time: "시각", trace: "트레이스 ID", copy: "복사",
    copied: "복사됨", asTable: "표로 보기", hideTable: "표 숨기기", nothing: "아직 없음", noRequests: "알아볼 수 있는 요청 메트릭이 없습니다.",
    noWorkers: "워커별 메트릭이 없습니다.", noExemplars: "예시가 없습니다. 요청을 트레이싱하면 나타납니다.",
    marked: "선택 구간 {0} – {1}", sum: "합계 {0}", mean: "평균 {0}", zoom: "확대", allTime: "실시간으로", more: "외 {0}개",
    summary: "메트릭 {1}개, 시계열 {0}개", left: "시계열 {0}개는 자리가 없어 표시하지 않음", down: "{0} 응답 없음: {1}", gone_e: "{0} 응답 없음", back_e: "{0} 다시 응답함",
    workerStarted_e: "워커 {0} 시작됨", workerGone_e: "워커 {0} 종료됨", keys: "좌우 화살표로 커서 이동, M으로 구간 표시, Enter로 확대, Esc로 되돌리기.",
    notLoaded: "이 페이지에서 저장한 파일이 아닙니다.", model: "모델", cache: "캐시", llm: "LLM", dialogue: "대화", retrieval: "검색",
    agents: "에이전트와 워크플로", database: "데이터베이스", detection: "감지", faults: "오류", runtime: "런타임", websocket: "웹소켓",
    heatKeys: "좌우 화살표로 커서 이동, 상하 화살표로 구간(버킷) 이동, M으로 구간 표시, Enter로 확대, Esc로 되돌리기.",
    tableKeys: "상하 화살표로 커서 이동, M으로 구간 표시, Enter로 확대, Esc로 되돌리기.", openTrace: "트레이스 {0} 열기", selected: "선택됨. 이제 복사하세요",
    skip: "본문으로 건너뛰기", values: "값", all: "전체", endpointFilter: "{0}만 보기", openMetric: "{0} 열기", sortBy: "{0} 기준 정렬", second: "초", none: "없음",
  },
};

let language = "en";

export function setLanguage(code) {
  language = WORDS[code] ? code : "en";
  document.documentElement.lang = language;
}

export function currentLanguage() {
  return language;
}

export function say(key, ...values) {
  return (WORDS[language][key] ?? WORDS.en[key] ?? key).replace(/\{(\d)\}/g, (_, index) => values[index]);
}

/** Write the words of everything that is marked with `data-say`, `data-say-label` or `data-say-placeholder`. */
export function sayAll(root) {
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-say-label]")) element.setAttribute("aria-label", say(element.dataset.sayLabel));
  for (const element of root.querySelectorAll("[data-say-placeholder]")) element.placeholder = say(element.dataset.sayPlaceholder);
}
