/** The scheduler extender: the HTTP service that kube-scheduler calls for every pod it places. */
export { UnseenPods } from './unseen-pods.ts';
export type { Decision } from './decision.ts';
export { createExtenderMetrics } from './metrics.ts';
export { DEFAULT_EXTENDER_OPTIONS, type ExtenderOptions } from './options.ts';
export type { ExtenderDeps } from './deps.ts';
export { startExtender, type Extender } from './server.ts';
export type { HostScore } from './prioritize.ts';
export { AssumedPods } from './assumed-pods.ts';
