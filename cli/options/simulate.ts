import { defineOptions } from '../../lib/config/types.ts';

/** Options of `netloom simulate`: flags only, for each question is another. */
export const simulateOptions = defineOptions({
  snapshot: {
    type: 'path',
    placeholder: 'FILE',
    required: true,
    help: "The cluster: JSON of kubectl or of netloom graph --export, or ByteDance's M3.json.",
    group: 'Cluster and traffic',
    configurable: false,
  },
  traffic: {
    type: 'path',
    placeholder: 'FILE',
    help: 'Its traffic as CSV, as netloom graph --export writes it.',
    group: 'Cluster and traffic',
    configurable: false,
  },
  linkMbps: {
    type: 'number',
    min: 0.001,
    help: "Speed of the nodes' links, Mbit/s, for nodes without the annotation netloom.io/link-mbps.",
    group: 'Cluster and traffic',
    configurable: false,
  },
  policy: {
    type: 'enum',
    values: [
      'default',
      'netmarks',
      'networkoverhead',
      'product',
      'min-marginal',
      'look-ahead',
      'netloom',
      'netloom-plan',
    ],
    help: 'What scores nodes beside kube-scheduler. Without it: default and netloom are compared.',
    group: 'Replay',
    configurable: false,
  },
  order: {
    type: 'enum',
    values: ['random', 'rollout', 'churn', 'as-is'],
    default: 'random',
    help:
      'Order of arrival. rollout: workload after workload; churn: every pod stands and is replaced in random order; ' +
      'as-is: as the snapshot lists them.',
    group: 'Replay',
    configurable: false,
  },
  arrivals: {
    type: 'path',
    placeholder: 'FILE',
    help: 'Order of arrival as a JSON list of "namespace/pod"; overrules order.',
    group: 'Replay',
    configurable: false,
  },
  seeds: {
    type: 'int',
    min: 1,
    max: 10_000,
    help: 'Runs, each with another order: means and standard deviations are over these. Default 5, or 1 with a file.',
    group: 'Replay',
    configurable: false,
  },
  seed: {
    type: 'int',
    default: 0,
    min: 0,
    max: 1_000_000_000,
    help: 'Number of the first run. The same number gives the same run.',
    group: 'Replay',
    configurable: false,
  },
  defaultModel: {
    type: 'enum',
    values: ['kube', 'study'],
    default: 'kube',
    help: "Scores of kube-scheduler itself. kube: its own arithmetic; study: a smooth model, to compare with Netloom's study.",
    group: 'Replay',
    configurable: false,
  },
  maxReplicaShare: {
    type: 'number',
    default: 0.5,
    min: 0.01,
    max: 1,
    help: "Largest share of a workload's replicas on one node, whatever the policy.",
    group: 'Replay',
    configurable: false,
  },
  routing: {
    type: 'enum',
    values: ['random', 'balanced', 'same-node'],
    default: 'random',
    help:
      'How requests find a replica, for the second share that is shown. random: as kube-proxy by default; same-node: ' +
      'trafficDistribution PreferSameNode.',
    group: 'Report',
    configurable: false,
  },
  price: {
    type: 'number',
    min: 0,
    placeholder: 'PER_GB',
    help: 'Price of a GB between zones, in any currency.',
    group: 'Report',
    configurable: false,
  },
  placement: {
    type: 'path',
    placeholder: 'FILE',
    help: 'Write {"namespace/pod": "node" or null} into this file, for one policy and one run.',
    group: 'Report',
    configurable: false,
  },
});
