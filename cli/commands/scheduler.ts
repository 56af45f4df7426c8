import type { TlsFiles } from '../../scheduler/tls/material.ts';
import { VERSION } from '../../lib/version.ts';
import { defineCommand } from '../command.ts';
import { schedulerSection } from '../options/scheduler.ts';
import { stopped } from '../stopped.ts';

export default defineCommand({
  name: 'scheduler',
  summary: 'learn the traffic graph and answer kube-scheduler',
  description: [
    "Takes the reports of agents, keeps one graph of the cluster's traffic, and answers kube-scheduler's " +
      '/prioritize with scores that put pods near those they talk to.',
    'With a snapshot of a cluster and its traffic as CSV it needs neither agents nor a cluster.',
  ],
  examples: [
    {
      text: 'What would Netloom do with my cluster?',
      command: 'netloom scheduler --snapshot cluster.json --traffic traffic.csv',
    },
    {
      text: 'Keep the graph over restarts, take reports from other machines.',
      command: 'netloom scheduler --store graph.db --config /etc/netloom.yaml',
    },
  ],
  section: schedulerSection,
  flags: {
    printKubeSchedulerConfig: {
      type: 'bool',
      help: 'Prints what to add to the configuration of kube-scheduler for these options, and ends.',
      group: 'Operation',
      configurable: false,
    },
  },
  longRunning: true,
  async run({ options, log, signal, stdout }) {
    if (options.printKubeSchedulerConfig) {
      const { formatListen } = await import('../../scheduler/process/listen-text.ts');
      const { kubeSchedulerConfig } = await import('../../scheduler/extender/kube-scheduler-config.ts');
      stdout.write(
        kubeSchedulerConfig({
          address: formatListen(options.listen),
          tls: options['tls.cert'] !== undefined,
          clientCertificate: options['tls.clientCa'] !== undefined,
          scoreRange: options.scoreRange,
          filters: options.maxLinkUse !== undefined,
        }),
      );
      return 0;
    }

    const { startScheduler } = await import('../../scheduler/process/scheduler.ts');
    const { placementSettings, DEFAULT_PLACEMENT_SETTINGS } = await import('../../scheduler/placement/index.ts');
    const { snapshot, kubeconfig, inCluster, traffic, store, levelWeights, logLevel, logFormat } = options;
    const tls = tlsFiles(options['tls.cert'], options['tls.key'], options['tls.clientCa']);
    const agentsTls = tlsFiles(options['agentsTls.cert'], options['agentsTls.key'], options['agentsTls.clientCa']);
    const scheduler = await startScheduler(
      {
        listen: options.listen,
        listenAgents: options.listenAgents,
        listenApi: options.listenApi,
        ...(tls === undefined ? {} : { tls }),
        ...(agentsTls === undefined ? {} : { agentsTls }),
        insecureAgents: options.insecure,
        ...(snapshot === undefined ? {} : { snapshot }),
        ...(kubeconfig !== undefined || inCluster
          ? { kubernetes: { kubeconfig, eventsUpToNodes: options.eventsUpToNodes, peerWaitMs: options.peerWait } }
          : {}),
        ...(traffic === undefined ? {} : { traffic }),
        ...(store === undefined ? {} : { store }),
        ...(options.plan === 'on' ? { plan: { iterations: options.planIterations || undefined } } : {}),
        ...(options.linkMbps === undefined ? {} : { linkBytesPerSecond: (options.linkMbps * 1e6) / 8 }),
        clientGraceMs: options.clientGrace,
        placement: placementSettings({
          scoreRange: options.scoreRange,
          maxNamed: options.maxNamed,
          floorBytesPerSecond: options.floor / 8,
          maxReplicaShare: options.replicaCap,
          maxZoneReplicaShare: options.zoneReplicaCap,
          lookAhead: options.lookAhead,
          minGain: options.minGain,
          headroomPenalty: options.headroomPenalty,
          maxLinkUse: options.maxLinkUse,
          levelWeights: { ...DEFAULT_PLACEMENT_SETTINGS.levelWeights, ...levelWeights },
        }),
        bodyLimitBytes: options.bodyLimit,
        version: VERSION,
      },
      { logger: log, logLevel, logFormat },
    );
    await stopped(signal);
    await scheduler.stop();
    return 0;
  },
});

function tlsFiles(cert?: string, key?: string, clientCa?: string): TlsFiles | undefined {
  if (cert === undefined || key === undefined) return undefined;
  return { certFile: cert, keyFile: key, ...(clientCa === undefined ? {} : { clientCaFile: clientCa }) };
}
