import type { AgentTls } from '../../collector/options.ts';
import { NetloomError } from '../../lib/errors.ts';
import { isLoopbackHost } from '../../lib/loopback.ts';
import { VERSION } from '../../lib/version.ts';
import { defineCommand } from '../command.ts';
import { agentSection } from '../options/agent.ts';
import { stopped } from '../stopped.ts';

export default defineCommand({
  name: 'agent',
  summary: 'measure the traffic of this node and report it',
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
    { text: 'Leave nothing in the kernel.', command: 'netloom agent --detach --pins /sys/fs/bpf/netloom' },
  ],
  section: agentSection,
  flags: {
    detach: {
      type: 'bool',
      configurable: false,
      help: 'Measure nothing; remove program and maps that agents left in --pins, the folder, and their state.',
      group: 'Over restarts',
    },
  },
  longRunning: true,
  async run({ options, log, signal, stdout }) {
    if (options.detach) {
      const { pins, state } = options;
      if (pins === undefined) {
        throw new NetloomError('USAGE', '--detach has nothing to remove without --pins', {
          remedy: 'Give the folder with --pins DIR. An agent without pins leaves nothing in the kernel.',
        });
      }
      const { detach } = await import('../../collector/detach.ts');
      stdout.write(`${detach({ pins, state })}\n`);
      return 0;
    }
    const { startAgent } = await import('../../collector/agent.ts');
    const { uplink, uplinkSpeed, metricsListen, insecure } = options;
    if (!insecure && tlsOf(options) === undefined && !isLoopbackHost(options.scheduler.host)) {
      throw new NetloomError('REPORT_TLS_REQUIRED', 'reports would leave this machine in plain text', {
        place: `scheduler ${options.scheduler.host}`,
        expected: 'tls.ca (and tls.cert, tls.key), or a scheduler on loopback',
        remedy: 'Give --tls-ca FILE; or, on a network that you trust, --insecure.',
      });
    }
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
        pins: options.pins,
        state: options.state,
        metrics: metricsListen,
        tls: tlsOf(options),
        version: VERSION,
      },
      { logger: log },
    );
    await stopped(signal);
    await agent.stop();
    return 0;
  },
});

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
