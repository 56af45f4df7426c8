import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { NetloomError, messageOf } from '../lib/errors.ts';
import type { EventWriter } from '../lib/kube/event-writer.ts';
import type { Logger } from '../lib/log.ts';
import { DIRECTIONS, type Direction } from './contract/bandwidth.ts';
import { Enforcer } from './enforce/enforcer.ts';
import type { Purpose } from './enforce/types.ts';
import { elsewhereError, lookElsewhere } from './kernel/elsewhere.ts';
import { lockNode } from './kernel/node-lock.ts';
import { LimitPins } from './kernel/pins.ts';
import { mayLook } from './kernel/tcx.ts';
import type { ApiPods } from './pods/api-pods.ts';
import type { SnapshotPods } from './pods/snapshot-pods.ts';
import { NoteQueue } from './status/note-queue.ts';
import { noteOf } from './status/notes.ts';
import type { LimitReport } from './status/report.ts';
import { SOCKET_NAME, serveLimits } from './status/server.ts';
import { ToldFile } from './status/told-file.ts';

export interface LimitsOptions {
  readonly node: string;
  readonly purpose: Purpose;
  /** Where the node's pods are known from. */
  readonly from: { readonly snapshot: string } | { readonly kubeconfig: string | undefined };
  /** Folder on a bpffs in which limits outlive this process; of a dry run, in which those of an earlier agent may be. */
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
  /** So long a list of pods is not believed that would take all limits away, ms. */
  readonly doubtMs?: number | undefined;
  readonly logger: Logger;
}

export interface LimitsAgent {
  report(): LimitReport;
  registerMetrics(registry: Registry): Promise<void>;
  /** Begins to act. @throws NetloomError of lib/bpf and lib/netlink: what cannot work here at all */
  start(): Promise<void>;
  /** Limits stay in force. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Holds the pods of this node to the bandwidth that their annotations ask for, from `start` until stopped and after. What it
 * needs for itself alone is taken before: nothing is attached if that cannot be had.
 * @throws NetloomError AGENT_PINS_IN_USE, AGENT_LIMITS_RUNNING, AGENT_LIMITS_ELSEWHERE, AGENT_OTHER_NAMESPACE,
 *   BPFFS_UNUSABLE, KUBECONFIG_UNUSABLE, AGENT_LISTEN_FAILED, NETLINK_NOT_PERMITTED
 */
export async function openLimits(options: LimitsOptions): Promise<LimitsAgent> {
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
    assertMayLimit(purpose);
    const pins = purpose === 'dry-run' || options.pins === undefined ? undefined : await reserve(options.pins, closers);
    const { source, events } = await connect(options);
    const notes = events === undefined ? undefined : new NoteQueue(events, new ToldFile(options.state));
    if (notes !== undefined) closers.push(() => notes.stop());
    const enforcer = new Enforcer({
      ...options,
      pins,
      pinsDir: options.pins,
      onStanding: (pod, direction, standing) => {
        const { namespace, name, uid } = pod;
        if (standing === undefined) {
          logger.info('limit is gone', { pod: `${namespace}/${name}`, direction });
          notes?.forget(keyOf(uid, direction));
          return;
        }
        const note = noteOf(pod, direction, standing);
        const limitBps = standing.bps === undefined ? undefined : Number(standing.bps);
        const fields = { pod: `${namespace}/${name}`, direction, state: standing.state, limitBps };
        const reason = standing.reason === '' ? {} : { reason: standing.reason };
        logger[note?.type === 'Warning' ? 'warn' : 'info']('limit', { ...fields, ...reason });
        notes?.offer(keyOf(uid, direction), note === undefined ? undefined : { namespace, name, uid, ...note });
      },
    });
    closers.push(() => enforcer.stop());
    let isStarted = false;
    const report = (): LimitReport => {
      const told = enforcer.report();
      const fault = isStarted ? source.status().fault : undefined;
      if (fault === undefined) return told;
      const what = told.podsKnown ? 'what is known of the pods may be old' : 'nothing is known of the pods yet';
      return { ...told, warnings: [`${what}: ${fault}`, ...told.warnings] };
    };
    const server = await serveLimits(join(options.state, SOCKET_NAME), report);
    closers.push(() => server.close());
    let stopping: Promise<void> | undefined;
    return {
      report,
      start: async () => {
        await enforcer.start();
        closers.push(() => source.stop());
        await source.start({
          pods: (pods) => {
            enforcer.pods(pods);
            // Nothing is concluded from a list that may be wrong: see ListDoubt.
            if (pods.length === 0) return;
            notes?.keep(new Set(pods.flatMap(({ uid }) => DIRECTIONS.map((direction) => keyOf(uid, direction)))));
          },
          failed: () => undefined,
        });
        isStarted = true;
        logger.info('limits of pods', { node, purpose, ...(pins === undefined ? {} : { pins: pins.dir }) });
      },
      registerMetrics: async (registry) => {
        const { registerLimitMetrics } = await import('./status/metrics.ts');
        registerLimitMetrics(registry, report, notes === undefined ? undefined : () => notes.stats);
      },
      stop: () => (stopping ??= closeAll()),
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** The right to attach limits in this namespace, with the folder for them. */
async function reserve(dir: string, closers: (() => unknown)[]): Promise<LimitPins> {
  const pins = LimitPins.open(dir);
  closers.push(() => {
    pins.removeIfEmpty();
    pins.close();
  });
  const lock = await lockNode(dir);
  closers.push(() => lock.close());
  const elsewhere = await lookElsewhere(dir);
  if (elsewhere !== undefined) throw elsewhereError(elsewhere, dir);
  return pins;
}

/** @throws NetloomError NETLINK_NOT_PERMITTED */
export function assertMayLimit(purpose: Purpose): void {
  if (mayLook()) return;
  throw new NetloomError('NETLINK_NOT_PERMITTED', 'the network devices of this node may not be looked into', {
    expected: 'CAP_NET_ADMIN, which limits need',
    found: `user ${process.geteuid?.() ?? '?'} without it`,
    remedy: `Run it as root, also for --${purpose}.`,
  });
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
