import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { messageOf } from '../lib/errors.ts';
import type { EventWriter } from '../lib/kube/event-writer.ts';
import type { Logger } from '../lib/log.ts';
import { DIRECTIONS, type Direction } from './contract/bandwidth.ts';
import { Enforcer } from './enforce/enforcer.ts';
import type { Purpose } from './enforce/types.ts';
import { LimitPins } from './kernel/pins.ts';
import type { ApiPods } from './pods/api-pods.ts';
import type { SnapshotPods } from './pods/snapshot-pods.ts';
import { NoteQueue } from './status/note-queue.ts';
import { noteOf } from './status/notes.ts';
import type { LimitReport } from './status/report.ts';
import { SOCKET_NAME, serveLimits } from './status/server.ts';

export interface LimitsOptions {
  readonly node: string;
  readonly purpose: Purpose;
  /** Where the node's pods are known from. */
  readonly from: { readonly snapshot: string } | { readonly kubeconfig: string | undefined };
  /** Folder on a bpffs in which limits outlive this process; not needed for a dry run. */
  readonly pins: string | undefined;
  /** Folder for the socket that `netloom limits` asks. */
  readonly state: string;
  readonly slots?: number | undefined;
  readonly uplinks?: readonly string[] | undefined;
  readonly hooks?: 'tcx' | 'clsact' | undefined;
  /** The compiled limit.bpf.c. */
  readonly bpfObject?: string | undefined;
  /** Counters are read so often, ms. */
  readonly sampleMs?: number | undefined;
  readonly logger: Logger;
}

export interface LimitsAgent {
  report(): LimitReport;
  registerMetrics(registry: Registry): Promise<void>;
  /** Limits stay in force. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Holds the pods of this node to the bandwidth that their annotations ask for, until stopped and after.
 * @throws NetloomError AGENT_PINS_IN_USE, BPFFS_UNUSABLE, KUBECONFIG_UNUSABLE, AGENT_LISTEN_FAILED, NETLINK_NOT_PERMITTED
 */
export async function startLimits(options: LimitsOptions): Promise<LimitsAgent> {
  const { node, purpose, logger } = options;
  const closers: (() => unknown)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        logger.warn('closing failed', { problem: messageOf(error) });
      }
    }
  };
  try {
    const pins = purpose === 'dry-run' || options.pins === undefined ? undefined : LimitPins.open(options.pins);
    if (pins !== undefined) closers.push(() => pins.close());
    const { source, events } = await connect(options);
    const notes = events === undefined ? undefined : new NoteQueue(events);
    if (notes !== undefined) closers.push(() => notes.stop());
    const enforcer = new Enforcer({
      ...options,
      pins,
      onStanding: (pod, direction, standing) => {
        const note = noteOf(pod, direction, standing);
        const { namespace, name, uid } = pod;
        const limitBps = standing.bps === undefined ? undefined : Number(standing.bps);
        const fields = { pod: `${namespace}/${name}`, direction, state: standing.state, limitBps };
        const reason = standing.reason === '' ? {} : { reason: standing.reason };
        logger[note?.type === 'Warning' ? 'warn' : 'info']('limit', { ...fields, ...reason });
        notes?.offer(keyOf(uid, direction), note === undefined ? undefined : { namespace, name, uid, ...note });
      },
    });
    closers.push(() => enforcer.stop());
    await enforcer.start();
    let isStarted = false;
    const report = (): LimitReport => {
      const told = enforcer.report();
      const fault = isStarted ? source.status().fault : undefined;
      if (fault === undefined) return told;
      return { ...told, warnings: [`what is known of the pods may be old: ${fault}`, ...told.warnings] };
    };
    const server = await serveLimits(join(options.state, SOCKET_NAME), report);
    closers.push(() => server.close());
    closers.push(() => source.stop());
    await source.start({
      pods: (pods) => {
        enforcer.pods(pods);
        notes?.keep(new Set(pods.flatMap(({ uid }) => DIRECTIONS.map((direction) => keyOf(uid, direction)))));
      },
      failed: () => undefined,
    });
    isStarted = true;
    logger.info('limits of pods', { node, purpose, ...(pins === undefined ? {} : { pins: pins.dir }) });
    let stopping: Promise<void> | undefined;
    return {
      report,
      registerMetrics: async (registry) => {
        const { registerLimitMetrics } = await import('./status/metrics.ts');
        registerLimitMetrics(registry, report);
      },
      stop: () => (stopping ??= closeAll()),
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function keyOf(uid: string, direction: Direction): string {
  return `${uid} ${direction}`;
}

async function connect({
  from,
  node,
  logger,
}: LimitsOptions): Promise<{ source: SnapshotPods | ApiPods; events?: EventWriter }> {
  // Only what is used is loaded: the rest would stay in the agent's memory.
  if ('snapshot' in from) {
    const { SnapshotPods: Source } = await import('./pods/snapshot-pods.ts');
    return { source: new Source({ path: from.snapshot, node, logger }) };
  }
  const [{ ApiPods: Source }, { EventWriter: Writer }, { fileCredentials }, { KubeClient }] = await Promise.all([
    import('./pods/api-pods.ts'),
    import('../lib/kube/event-writer.ts'),
    import('../lib/kube/file-credentials.ts'),
    import('../lib/kube/kube-client.ts'),
  ]);
  const api = await KubeClient.create(fileCredentials({ kubeconfig: from.kubeconfig }));
  const events = new Writer({
    api,
    logger,
    source: { component: 'netloom', controller: 'netloom.io/agent', host: node },
    now: () => performance.timeOrigin + performance.now(),
  });
  return { source: new Source({ api, node, logger }), events };
}
