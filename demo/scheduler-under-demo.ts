import { setTimeout as sleep } from 'node:timers/promises';
import { askApi } from '../cli/api-client.ts';
import { NetloomError } from '../lib/errors.ts';
import type { StatusReply } from '../scheduler/api/replies.ts';
import { freePorts, startNetloom } from './netloom-process.ts';

/** A scheduler process that the demo started, and its read API. */
export interface SchedulerUnderDemo {
  readonly pid: number;
  readonly extenderPort: number;
  readonly agentsPort: number;
  readonly apiPort: number;
  get<T>(path: string, query?: Readonly<Record<string, string>>): Promise<T>;
  /** Waits until this many agents have reported. */
  agentsReport(count: number): Promise<void>;
  /** Waits until the cluster state has a pod, "namespace/name", or has it no more. */
  knowsPod(pod: string, known: boolean): Promise<void>;
  stop(): Promise<void>;
}

const DEFAULT_PORTS = [9750, 9753, 9751];
const START_MS = 30_000;
const POLL_MS = 50;

/**
 * @param source of the cluster's state: `--snapshot FILE` or `--kubeconfig FILE`
 * @throws NetloomError DEMO_FAILED
 */
export async function startScheduler(
  source: readonly string[],
  env: NodeJS.ProcessEnv,
  onExit: (what: string) => void,
  survives: boolean,
): Promise<SchedulerUnderDemo> {
  const [extenderPort, agentsPort, apiPort] = (await freePorts(DEFAULT_PORTS)) as [number, number, number];
  const child = await startNetloom(
    ['scheduler', ...source, '--listen', `127.0.0.1:${extenderPort}`]
      .concat(['--listen-agents', `127.0.0.1:${agentsPort}`, '--listen-api', `127.0.0.1:${apiPort}`])
      .concat(['--log-level', 'warn']),
    env,
    onExit,
    survives,
  );
  const client = { api: { host: '127.0.0.1', port: apiPort }, timeout: 10_000 };
  const get = <T>(path: string, query: Readonly<Record<string, string>> = {}): Promise<T> =>
    askApi<T>(client, path, query);
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    for (let waitedMs = 0; waitedMs < START_MS; waitedMs += POLL_MS) {
      if (await holds().catch(() => false)) return;
      await sleep(POLL_MS);
    }
    throw new NetloomError('DEMO_FAILED', `waited ${START_MS / 1000} s in vain until ${what}`, {
      found: child.log() === '' ? 'the scheduler said nothing' : child.log(),
    });
  };
  const scheduler: SchedulerUnderDemo = {
    pid: child.pid,
    extenderPort,
    agentsPort,
    apiPort,
    get,
    agentsReport: (count) =>
      until(`${count} agents reported`, async () => {
        const { agents } = await get<StatusReply>('/v1/status');
        return agents.filter((agent) => agent.state === 'reporting').length >= count;
      }),
    knowsPod: (pod, known) =>
      until(`the scheduler ${known ? 'knew' : 'forgot'} pod ${pod}`, async () => {
        const has = await get('/v1/explain', { pod }).then(
          () => true,
          (error: unknown) => {
            if (error instanceof NetloomError && error.code === 'API_REFUSED') return false;
            throw error;
          },
        );
        return has === known;
      }),
    stop: () => child.stop(),
  };
  try {
    await until('the scheduler was ready', async () => (await get<StatusReply>('/v1/status')).ready);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return scheduler;
}
