import { defineOptions } from '../../lib/config/types.ts';
import { defineSection } from '../command.ts';
import { logOptions } from './common.ts';

export const schedulerSection = defineSection({
  name: 'scheduler',
  summary: 'The scheduler extender: takes reports, keeps the traffic graph, scores nodes for kube-scheduler.',
  options: defineOptions({
    listen: {
      type: 'address',
      default: '127.0.0.1:9750',
      help: 'Address for kube-scheduler: /prioritize, /filter, /livez, /readyz, /metrics.',
      group: 'Listeners',
    },
    listenAgents: {
      type: 'address',
      default: '127.0.0.1:9753',
      help: 'Address for the reports of agents (gRPC).',
      group: 'Listeners',
    },
    listenApi: {
      type: 'address',
      default: '127.0.0.1:9751',
      help: 'Address of the read API that graph, top and explain use. It does not authenticate: loopback only.',
      group: 'Listeners',
    },
    'tls.cert': {
      type: 'path',
      help: 'Certificate (PEM) that kube-scheduler is shown; makes the listener HTTPS. Re-read when replaced.',
      group: 'TLS',
    },
    'tls.key': { type: 'path', help: 'Private key (PEM) of tls.cert.', group: 'TLS' },
    'tls.clientCa': {
      type: 'path',
      help:
        'Certificates (PEM) of authorities: callers must show a certificate signed by one of them. That holds for probes ' +
        'and /metrics too; a kubelet has none, so probe by exec or tcpSocket then.',
      group: 'TLS',
    },
    'agentsTls.cert': {
      type: 'path',
      help: 'Certificate (PEM) that agents are shown. Re-read when replaced.',
      group: 'TLS',
    },
    'agentsTls.key': { type: 'path', help: 'Private key (PEM) of agentsTls.cert.', group: 'TLS' },
    'agentsTls.clientCa': {
      type: 'path',
      help: 'Certificates (PEM) of authorities: agents must show a certificate signed by one of them.',
      group: 'TLS',
    },
    insecure: {
      type: 'bool',
      help: 'Take reports in plain text also on an address that other machines reach.',
      group: 'TLS',
    },
    snapshot: {
      type: 'path',
      placeholder: 'FILE',
      help: 'Cluster state: JSON of kubectl or of Netloom. Re-read when replaced.',
      group: 'Cluster and traffic',
    },
    kubeconfig: {
      type: 'path',
      placeholder: 'FILE',
      help: 'Cluster state from the API server that this kubeconfig names.',
      group: 'Cluster and traffic',
    },
    inCluster: {
      type: 'bool',
      help: 'Cluster state from the API server of the cluster that this runs in, with the ServiceAccount of its pod.',
      group: 'Cluster and traffic',
    },
    eventsUpToNodes: {
      type: 'int',
      default: 500,
      min: 0,
      max: 100_000,
      help: 'In clusters of at most so many nodes, an Event on a pod says why it was put where it is. 0: never.',
      group: 'Cluster and traffic',
    },
    traffic: {
      type: 'path',
      placeholder: 'FILE',
      help: 'Known traffic as CSV, for a cluster without agents. Re-read when replaced.',
      group: 'Cluster and traffic',
    },
    store: {
      type: 'path',
      placeholder: 'FILE',
      help: 'SQLite file that keeps the graph over restarts. Without it: the graph is kept in memory only.',
      group: 'Cluster and traffic',
    },
    clientGrace: {
      type: 'duration',
      default: '30s',
      min: '0',
      max: '1h',
      help: "Time for which a client's view of an edge waits for the view of the server's node, which counts.",
      group: 'Cluster and traffic',
    },
    peerWait: {
      type: 'duration',
      default: '60ms',
      min: '0',
      max: '80ms',
      help:
        'Longest time for which the answer for a pod waits until the API server shows its workload, and where the pod ' +
        'went that was asked about just before, if the two talk to each other. 0: never.',
      group: 'Scoring',
    },
    scoreRange: {
      type: 'int',
      values: ['80', '10'],
      default: 80,
      help: 'Highest score. 80 is for extender weight 1, 10 for weight 8.',
      group: 'Scoring',
    },
    maxNamed: {
      type: 'int',
      default: 32,
      min: 1,
      max: 5000,
      help: 'Most nodes that an answer names; each costs kube-scheduler about 4 us.',
      group: 'Scoring',
    },
    floor: {
      type: 'bitrate',
      default: '200k',
      help: 'Traffic of a pod below which its scores shrink in proportion; in a quiet cluster a tenth of the mean, at least 2k. 0: none.',
      group: 'Scoring',
    },
    replicaCap: {
      type: 'number',
      default: 0.5,
      min: 0.01,
      max: 1,
      help: "Largest share of a workload's replicas that one node gets for traffic's sake.",
      group: 'Scoring',
    },
    zoneReplicaCap: {
      type: 'number',
      default: 0.85,
      min: 0.01,
      max: 1,
      help: "Largest share of a workload's replicas that one zone gets for traffic's sake, where there is another. 1: no limit.",
      group: 'Scoring',
    },
    lookAhead: {
      type: 'number',
      default: 0.75,
      min: 0,
      max: 1,
      help: 'What traffic counts for that stays on a node once peers that are still to come have come. 0: they do not count.',
      group: 'Scoring',
    },
    minGain: {
      type: 'number',
      default: 0.05,
      min: 0,
      max: 1,
      help: "Least share of a pod's traffic that must become local on a node, in its zone or region, for the node to be named.",
      group: 'Scoring',
    },
    linkMbps: {
      type: 'number',
      min: 1,
      max: 1e8,
      placeholder: 'MBPS',
      help: 'Speed of the links of nodes of which neither the annotation netloom.io/link-mbps nor an agent tells it.',
      group: 'Scoring',
    },
    headroomPenalty: {
      type: 'number',
      default: 1,
      min: 0,
      max: 1,
      help: "What a full link weighs against all of a pod's traffic; from 60 % of the link on, in full at 90 %. 0: nothing.",
      group: 'Scoring',
    },
    maxLinkUse: {
      type: 'number',
      min: 0.1,
      max: 10,
      placeholder: 'SHARE',
      help:
        'Makes /filter refuse nodes whose link a pod would use beyond this share of its speed, unless that is all of them. ' +
        'Needs filterVerb in the configuration of kube-scheduler (--print-kube-scheduler-config).',
      group: 'Scoring',
    },
    levelWeights: {
      type: 'numbers',
      values: ['node', 'zone', 'region'],
      default: 'node=1,zone=0.3,region=0.1',
      min: 0,
      max: 1,
      help: 'What traffic is worth that stays on the node, in the zone, in the region. Levels not named keep their defaults.',
      group: 'Scoring',
    },
    plan: {
      type: 'enum',
      values: ['on', 'off'],
      default: 'on',
      help:
        'Whether a target for all workloads whose traffic is known is computed in the background and leads where a ' +
        'workload and its peers are created anew, or stand as planned already. A full or gone target falls back to the score.',
      group: 'Plans',
    },
    planIterations: {
      type: 'int',
      default: 0,
      min: 0,
      max: 1_000_000_000,
      help: 'Proposals of the annealing that makes a plan, used in steps of four times as many; a million take one to six seconds of one core. 0: by the size of the cluster.',
      group: 'Plans',
    },
    bodyLimit: {
      type: 'bytes',
      default: '64Mi',
      min: '64Ki',
      max: '500Mi',
      help: 'Largest request of kube-scheduler; a larger one is refused with 413 without being read.',
      group: 'Operation',
    },
    ...logOptions,
  }),
  check(values, conflict) {
    for (const group of ['tls', 'agentsTls'] as const) {
      const cert = values[`${group}.cert`];
      const key = values[`${group}.key`];
      if ((cert === undefined) !== (key === undefined)) {
        conflict(`${group}.cert and ${group}.key belong together`, 'Give both, or neither.');
      }
      if (values[`${group}.clientCa`] !== undefined && cert === undefined) {
        conflict(`${group}.clientCa needs ${group}.cert`, `Give ${group}.cert and ${group}.key too.`);
      }
    }
    const sources = [
      values.snapshot === undefined ? [] : ['snapshot'],
      values.kubeconfig === undefined ? [] : ['kubeconfig'],
      values.inCluster ? ['inCluster'] : [],
    ].flat();
    if (sources.length > 1) conflict(`${sources.join(' and ')} contradict each other`, 'Cluster state has one source.');
    const { node = 0, zone = 0, region = 0 } = values.levelWeights;
    if (node < zone || zone < region) {
      conflict('levelWeights must not grow from node to zone to region', 'A nearer level is worth at least as much.');
    }
    if (values.insecure && values['agentsTls.cert'] !== undefined) {
      conflict('insecure contradicts agentsTls', 'Leave out insecure, or the agentsTls options.');
    }
  },
});
