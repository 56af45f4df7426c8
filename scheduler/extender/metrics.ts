import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/**
 * How a call ended. scored, no_opinion, passed, refused (some nodes): 200 with an answer; not_ready, fault: 200 with the neutral answer;
 * bad_request 400; not_found 404; method_not_allowed 405; too_large 413; unready 503; ok: other 200;
 * aborted: the caller went away before its request was complete.
 */
export const OUTCOMES = [
  'scored',
  'no_opinion',
  'passed',
  'refused',
  'not_ready',
  'fault',
  'bad_request',
  'not_found',
  'method_not_allowed',
  'too_large',
  'unready',
  'ok',
  'aborted',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Labels of routes; what matches none is `other`. */
export const VERBS = ['prioritize', 'filter', 'probe', 'metrics', 'other'] as const;
export type Verb = (typeof VERBS)[number];

const SILENCES = ['switched-off', 'unknown-workload', 'one-per-node', 'no-traffic', 'no-difference'] as const;

/** kube-scheduler waits while we work: below 1 ms is the target of small clusters, 100 ms the shipped time-out. */
const SECONDS_BUCKETS = [0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.1, 0.25, 1];

/** All label combinations are bound beforehand: they are few, show as 0 from the start, and cost no lookup per call. */
export function createExtenderMetrics(registry: Registry) {
  const registers = [registry];
  const requests = new Counter({
    name: 'netloom_extender_requests_total',
    help: 'Requests to the extender by verb and by how they ended.',
    labelNames: ['verb', 'outcome'] as const,
    registers,
  });
  const seconds = new Histogram({
    name: 'netloom_extender_duration_seconds',
    help: 'From the request head to the reply, including the arrival of the body.',
    labelNames: ['verb'] as const,
    buckets: SECONDS_BUCKETS,
    registers,
  });
  const silence = new Counter({
    name: 'netloom_extender_no_opinion_total',
    help: 'Prioritize calls answered with an empty list, by reason.',
    labelNames: ['reason'] as const,
    registers,
  });
  const closed = new Counter({
    name: 'netloom_extender_connections_closed_total',
    help: 'Connections closed by us: evicted, refused (limit), broken (no valid HTTP or TLS).',
    labelNames: ['reason'] as const,
    registers,
  });
  const reloads = new Counter({
    name: 'netloom_extender_certificate_reloads_total',
    help: 'Changed certificate files that were taken over (ok) or found unusable (failed; the old ones stay).',
    labelNames: ['result'] as const,
    registers,
  });
  const waits = new Counter({
    name: 'netloom_extender_peer_waits_total',
    help: 'Prioritize calls that waited for a view to show their workload, or a peer bound just before: seen, or late (answered without).',
    labelNames: ['result'] as const,
    registers,
  });
  const plain = (name: string, help: string) => new Counter({ name, help, registers });
  const outcomes = Object.fromEntries(
    VERBS.map((verb) => [
      verb,
      Object.fromEntries(OUTCOMES.map((outcome) => [outcome, requests.labels(verb, outcome)])),
    ]),
  ) as Record<Verb, Record<Outcome, Counter.Internal>>;
  return {
    outcomes,
    seconds: { prioritize: seconds.labels('prioritize'), filter: seconds.labels('filter') },
    silence: Object.fromEntries(SILENCES.map((reason) => [reason, silence.labels(reason)])) as Record<
      (typeof SILENCES)[number],
      Counter.Internal
    >,
    namesIn: plain('netloom_extender_names_received_total', 'Candidate names in prioritize calls.'),
    namesOut: plain('netloom_extender_names_answered_total', 'Nodes named in prioritize replies.'),
    refused: plain(
      'netloom_extender_nodes_refused_total',
      'Candidates of filter calls whose link had no room for the pod.',
    ),
    waits: { seen: waits.labels('seen'), late: waits.labels('late') },
    waitSeconds: plain('netloom_extender_peer_wait_seconds_total', 'Time that prioritize calls waited for peers.'),
    listenerFaults: plain(
      'netloom_extender_decision_faults_total',
      'Decisions that could not be kept for explanation.',
    ),
    closed: {
      evicted: closed.labels('evicted'),
      refused: closed.labels('refused'),
      broken: closed.labels('broken'),
    },
    late: plain(
      'netloom_extender_late_total',
      "Answers that were written when the caller had already gone: kube-scheduler's httpTimeout was over.",
    ),
    connections: new Gauge({ name: 'netloom_extender_connections', help: 'Open connections.', registers }),
    reloads: { ok: reloads.labels('ok'), failed: reloads.labels('failed') },
    certificateNotAfter: new Gauge({
      name: 'netloom_extender_certificate_not_after_seconds',
      help: 'When the certificate in use expires, Unix time.',
      registers,
    }),
  };
}

export type ExtenderMetrics = ReturnType<typeof createExtenderMetrics>;
