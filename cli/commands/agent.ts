import { existsSync, readlinkSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { LimitsAgent } from '../../bandwidth/limits-agent.ts';
import type { AgentTls } from '../../collector/options.ts';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import { isLoopbackHost } from '../../lib/loopback.ts';
import { VERSION } from '../../lib/version.ts';
import { defineCommand } from '../command.ts';
import { agentSection } from '../options/agent.ts';
import { stopped } from '../stopped.ts';

const FLAG = { enforce: '--enforce', shadow: '--shadow', dryRun: '--dry-run' } as const;

export default defineCommand({
  name: 'agent',
  summary: 'measure the traffic of this node and report it; hold pods to their bandwidth',
  description: [
    'Reads what every socket of this node moved from the kernel, without a program per packet, and reports it ' +
      'to the scheduler once an interval. Needs root, or the capabilities BPF and PERFMON; `netloom doctor` tells ' +
      'what this machine can measure.',
    'With --pins an agent that ends leaves its program and maps in the kernel, and the next one goes on with them. ' +
      '--detach removes them for good.',
  ],
  examples: [
    { text: 'Measure the whole node.', command: 'netloom agent --node worker-1 --scheduler 10.0.0.5:9753' },
    {
      text: 'Read everything from a file, but report more often.',
      command: 'netloom agent --config /etc/netloom.yaml --interval 1s',
    },
    {
      text: 'Hold pods to the bandwidth of their annotations.',
      command: 'netloom agent --node worker-1 --enforce --kubeconfig FILE --pins DIR',
    },
    { text: 'Leave nothing in the kernel.', command: 'netloom agent --detach --pins /sys/fs/bpf/netloom' },
  ],
  section: agentSection,
  flags: {
    detach: {
      type: 'bool',
      configurable: false,
      help:
        'Measure and limit nothing; remove what agents left: programs, maps and qdiscs of limits, what is in --pins, and ' +
        'their state.',
      group: 'Over restarts',
    },
  },
  longRunning: true,
  check(values, conflict, isFlag) {
    const purposes = (['enforce', 'shadow', 'dryRun'] as const).filter((key) => values[key]);
    const named = purposes.filter(isFlag).map((key) => FLAG[key]);
    if (values.detach && named.length > 0) {
      conflict(`--detach contradicts ${named.join(' and ')}`, 'Leave out one: --detach removes limits, and sets none.');
      return;
    }
    // Who tries it out on a node that is set to enforce says so on the command line.
    const isTried = purposes.length === 2 && purposes[0] === 'enforce' && !isFlag('enforce') && isFlag(purposes[1]!);
    if (values.detach || purposes.length < 2 || isTried) return;
    conflict(
      `${purposes.map((key) => FLAG[key]).join(' and ')} contradict each other`,
      'Leave all but one out: enforce holds limits, shadow counts only, dryRun computes only.',
    );
  },
  async run({ options, log, signal, stdout }) {
    const { pins, state } = options;
    if (options.detach) {
      const { text, isDone } = await detachAll(pins, state);
      stdout.write(`${text}\n`);
      return isDone ? 0 : 1;
    }
    if (options.dryRun) return dryRun(options, log, signal);
    const { startAgent } = await import('../../collector/agent.ts');
    const { uplink, uplinkSpeed, metricsListen, insecure } = options;
    if (!insecure && tlsOf(options) === undefined && !isLoopbackHost(options.scheduler.host)) {
      throw new NetloomError('REPORT_TLS_REQUIRED', 'reports would leave this machine in plain text', {
        place: `scheduler ${options.scheduler.host}`,
        expected: 'tls.ca (and tls.cert, tls.key), or a scheduler on loopback',
        remedy: 'Give --tls-ca FILE; or, on a network that you trust, --insecure.',
      });
    }
    const limits = await limitsOf(options, log);
    const agent = await startAgent(
      {
        node: options.node,
        scheduler: options.scheduler,
        intervalMs: options.interval,
        scope: options.scope,
        uplinks: uplink.length > 0 ? uplink : undefined,
        uplinkSpeedBps: uplinkSpeed,
        uplinkNetns: options.uplinkNetns,
        maxEdges: options.mapEntries,
        pins,
        state,
        metrics: metricsListen,
        tls: tlsOf(options),
        version: VERSION,
      },
      {
        logger: log,
        ...(limits === undefined ? {} : { registerMetrics: (registry) => limits.registerMetrics(registry) }),
      },
    ).catch(async (error: unknown) => {
      await limits?.stop();
      throw error;
    });
    try {
      // Only now, when all else that may fail is done: limits outlive an agent that ends.
      await limits?.start();
      await stopped(signal);
    } finally {
      await Promise.all([agent.stop(), limits?.stop()]);
    }
    return 0;
  },
});

/** Computes limits until stopped, and measures nothing: nothing is attached or pinned. */
async function dryRun(options: LimitOptions & MetricsOptions, log: Logger, signal: AbortSignal): Promise<number> {
  const limits = (await limitsOf(options, log))!;
  let metrics: { close(): void } | undefined;
  try {
    if (options.metricsListen !== undefined) {
      const { serveRegistry } = await import('../../collector/metrics.ts');
      metrics = await serveRegistry(options.metricsListen, (registry) => limits.registerMetrics(registry));
    }
    await limits.start();
    await stopped(signal);
  } finally {
    metrics?.close();
    await limits.stop();
  }
  return 0;
}

interface MetricsOptions {
  readonly metricsListen: { readonly host: string; readonly port: number } | undefined;
}

/** Prepares to hold limits, if that was asked for. */
async function limitsOf(options: LimitOptions, logger: Logger): Promise<LimitsAgent | undefined> {
  const { enforce, shadow, dryRun, snapshot, kubeconfig, node, state, uplink, limitSlots } = options;
  const purpose = dryRun ? 'dry-run' : shadow ? 'shadow' : enforce ? 'enforce' : undefined;
  const dir = limitsDir(options.pins, state);
  if (purpose === undefined) {
    await warnOfLimits(dir, logger);
    return undefined;
  }
  let mounted = false;
  const { assertMayLimit, openLimits } = await import('../../bandwidth/limits-agent.ts');
  assertMayLimit(purpose);
  if (purpose !== 'dry-run' && options.pins === undefined) {
    const { ensureBpffs } = await import('../../lib/bpf/index.ts');
    ({ mounted } = ensureBpffs(dirname(dir)));
    if (mounted && !sharesMountsWithInit()) {
      logger.warn('limits will end with this mount namespace; name a folder on the bpffs of the host with --pins', {
        pins: dir,
      });
    }
  }
  const leave = async (): Promise<void> => {
    if (!mounted || existsSync(dir)) return;
    const { unmountBpffs } = await import('../../lib/bpf/index.ts');
    unmountBpffs(dirname(dir));
  };
  const limits = await openLimits({
    node,
    purpose,
    from: snapshot === undefined ? { kubeconfig } : { snapshot },
    pins: dir,
    state,
    slots: limitSlots,
    uplinks: uplink.length > 0 ? uplink : undefined,
    logger,
  }).catch(async (error: unknown) => {
    await leave();
    throw error;
  });
  return {
    ...limits,
    stop: async () => {
      await limits.stop();
      await leave();
    },
  };
}

interface LimitOptions {
  readonly enforce: boolean;
  readonly shadow: boolean;
  readonly dryRun: boolean;
  readonly snapshot: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly node: string;
  readonly pins: string | undefined;
  readonly state: string;
  readonly uplink: readonly string[];
  readonly limitSlots: number;
}

/** Limits are in force that this agent does not look after. */
async function warnOfLimits(dir: string, logger: Logger): Promise<void> {
  if (existsSync(dir)) {
    logger.warn('limits of an earlier agent may be in force, and nobody looks after them', {
      pins: dir,
      remedy: 'start with --enforce, or take them away with --detach',
    });
  }
  const [{ mayLook }, { describeElsewhere, lookElsewhere, remedyFor }, { nodeHolder }] = await Promise.all([
    import('../../bandwidth/kernel/tcx.ts'),
    import('../../bandwidth/kernel/elsewhere.ts'),
    import('../../bandwidth/kernel/node-lock.ts'),
  ]);
  try {
    const elsewhere = mayLook() ? await lookElsewhere(dir) : undefined;
    // An agent beside this one that only limits is no fault.
    if (elsewhere === undefined || (await nodeHolder()) !== undefined) return;
    logger.error(describeElsewhere(elsewhere), { remedy: remedyFor(elsewhere) });
  } catch (error) {
    logger.debug('it could not be found out whether limits are in force', { problem: messageOf(error) });
  }
}

/** Below the agent's pins, or on a bpffs of its own. */
function limitsDir(pins: string | undefined, state: string): string {
  return join(pins === undefined ? join(resolve(state), 'bpf') : resolve(pins), 'limits');
}

/** Pins that are mounted elsewhere go with the last process there. */
function sharesMountsWithInit(): boolean {
  try {
    return readlinkSync('/proc/1/ns/mnt') === readlinkSync('/proc/self/ns/mnt');
  } catch {
    return true;
  }
}

async function detachAll(pins: string | undefined, state: string): Promise<{ text: string; isDone: boolean }> {
  const { detachLimits } = await import('../../bandwidth/detach.ts');
  const { SOCKET_NAME, removeOldSocket } = await import('../../bandwidth/status/server.ts');
  const { ToldFile } = await import('../../bandwidth/status/told-file.ts');
  const { unmountBpffs } = await import('../../lib/bpf/index.ts');
  const { removeOwnFolder } = await import('../../lib/files/own-folder.ts');
  const dir = limitsDir(pins, state);
  const { programs, qdiscs, elsewhere, running, isBlind } = await detachLimits(dir);
  await removeOldSocket(join(resolve(state), SOCKET_NAME));
  new ToldFile(resolve(state)).remove();
  if (pins === undefined) unmountBpffs(dirname(dir));
  const isDone = elsewhere === undefined && running === undefined && !(isBlind && pins === undefined);
  const told: string[] = [];
  if (programs + qdiscs > 0) told.push(`Limits are taken away: ${programs} programs, ${qdiscs} changes of qdiscs.`);
  if (elsewhere !== undefined) {
    const { remedyFor } = await import('../../bandwidth/kernel/elsewhere.ts');
    const { length } = elsewhere.interfaces;
    told.push(`Limits are in force at ${length} interfaces, and are not pinned in ${dir}. ${remedyFor(elsewhere)}`);
  }
  if (running !== undefined) told.push(`An agent limits this node (${running}): end it first.`);
  if (pins === undefined) {
    if (isBlind) told.push('Whether limits are in force cannot be told without CAP_NET_ADMIN: run it as root.');
    if (told.length === 0) told.push(`No limits are in force (${dir}; --pins DIR names another folder).`);
  } else {
    const { detach } = await import('../../collector/detach.ts');
    told.push(detach({ pins, state }));
  }
  removeOwnFolder(state);
  return { text: told.join('\n'), isDone };
}

interface TlsOptions {
  readonly 'tls.ca': string | undefined;
  readonly 'tls.cert': string | undefined;
  readonly 'tls.key': string | undefined;
  readonly 'tls.serverName': string | undefined;
}

function tlsOf(options: TlsOptions): AgentTls | undefined {
  const { 'tls.ca': ca, 'tls.cert': cert, 'tls.key': key, 'tls.serverName': serverName } = options;
  return ca === undefined && cert === undefined && serverName === undefined ? undefined : { ca, cert, key, serverName };
}
