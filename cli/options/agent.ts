import { defineOptions } from '../../lib/config/types.ts';
import { defineSection } from '../command.ts';
import { logOptions } from './common.ts';

export const agentSection = defineSection({
  name: 'agent',
  summary: 'The node agent: measures sockets in the kernel and reports edges to the scheduler.',
  options: defineOptions({
    node: {
      type: 'string',
      form: 'subdomain',
      required: true,
      unless: 'detach',
      placeholder: 'NAME',
      help: 'Kubernetes name of the node that this agent measures.',
      group: 'Reporting',
    },
    scheduler: {
      type: 'address',
      default: '127.0.0.1:9753',
      help: 'Where the scheduler takes reports.',
      group: 'Reporting',
      anyPort: false,
    },
    interval: {
      type: 'duration',
      default: '10s',
      min: '100ms',
      max: '5m',
      help: 'Time between two reports.',
      group: 'Reporting',
    },
    'tls.ca': {
      type: 'path',
      help: 'Certificates (PEM) of authorities that may sign the scheduler. Turns TLS on.',
      group: 'Reporting over TLS',
    },
    'tls.cert': {
      type: 'path',
      help: 'Certificate (PEM) that this agent shows. Re-read when replaced.',
      group: 'Reporting over TLS',
    },
    'tls.key': { type: 'path', help: 'Private key (PEM) of tls.cert.', group: 'Reporting over TLS' },
    'tls.serverName': {
      type: 'string',
      placeholder: 'NAME',
      help: 'Name that the certificate of the scheduler must carry, where it is not the host asked for.',
      group: 'Reporting over TLS',
    },
    insecure: {
      type: 'bool',
      help: 'Report in plain text also to a scheduler on another machine.',
      group: 'Reporting over TLS',
    },
    scope: {
      type: 'path',
      help: 'File with one network namespace path a line: only these are measured. Re-read on change; without it all are.',
      group: 'Measuring',
    },
    mapEntries: {
      type: 'int',
      default: 65536,
      min: 1024,
      max: 4194304,
      help: 'Edges that the kernel keeps room for; what does not fit is counted as lost.',
      group: 'Measuring',
    },
    pins: {
      type: 'path',
      help:
        'Folder on a bpffs in which maps and program outlive the agent: counting goes on while it restarts or is ' +
        'upgraded, and the next agent reports all of it, once. Without it connections that are open at a restart are ' +
        'forgotten, and limits are pinned on a bpffs of their own, in the folder bpf of --state.',
      group: 'Over restarts',
    },
    state: {
      type: 'path',
      default: '/run/netloom',
      help:
        'Folder for what the next agent on the same pins must know of this one: how far it has reported. Also for the ' +
        'socket of netloom limits, and without --pins for the bpffs on which limits are pinned.',
      group: 'Over restarts',
    },
    uplink: {
      type: 'list',
      placeholder: 'DEVICE,...',
      help:
        'Devices through which traffic leaves the node, of any kind. Without it: those of the default routes; for limits ' +
        'also those of routes by a gateway, and hardware, bonds and VLANs that have any route.',
      group: 'Uplinks',
    },
    uplinkSpeed: {
      type: 'bitrate',
      min: '1k',
      help: 'Speed of each uplink, where the device does not tell it or tells it wrongly.',
      group: 'Uplinks',
    },
    uplinkNetns: {
      type: 'path',
      help:
        'Network namespace whose devices are the uplinks. Without it: the one the agent runs in. Another needs ' +
        'CAP_SYS_ADMIN, unless it is named by a process: /proc/PID/ns/net.',
      group: 'Uplinks',
    },
    enforce: {
      type: 'bool',
      help:
        'Hold the pods of this node to the bandwidth that their annotations ask for. Limits stay in force when the ' +
        'agent ends; --detach takes them away.',
      group: 'Limits',
    },
    shadow: {
      type: 'bool',
      help: 'Attach and count what limits would delay or drop, and delay and drop nothing.',
      group: 'Limits',
    },
    dryRun: {
      type: 'bool',
      help: 'Find out how each limit would be held. Nothing is attached, pinned or measured.',
      group: 'Limits',
    },
    snapshot: {
      type: 'path',
      placeholder: 'FILE',
      help: 'Pods of the cluster in the form of kubectl get pods -A -o json. Re-read when replaced.',
      group: 'Limits',
    },
    kubeconfig: {
      type: 'path',
      placeholder: 'FILE',
      help: 'Pods of this node from the API server that this kubeconfig names.',
      group: 'Limits',
    },
    inCluster: {
      type: 'bool',
      help: 'Pods of this node from the API server of the cluster that this runs in, with the ServiceAccount of its pod.',
      group: 'Limits',
    },
    limitSlots: {
      type: 'int',
      default: 1024,
      min: 16,
      max: 16384,
      help: 'Directions of pods that may have a limit, and one; 16 KiB of kernel memory each, once a pod needs one.',
      group: 'Limits',
    },
    metricsListen: {
      type: 'address',
      help: 'Address that serves Prometheus metrics at /metrics. Without it: none.',
      group: 'Operation',
    },
    ...logOptions,
  }),
  check(values, conflict) {
    if ((values['tls.cert'] === undefined) !== (values['tls.key'] === undefined)) {
      conflict('tls.cert and tls.key belong together', 'Give both, or neither.');
    }
    const sources = [values.snapshot, values.kubeconfig, values.inCluster || undefined].filter((v) => v !== undefined);
    const { detach } = values as { readonly detach?: boolean };
    const limits = detach !== true && (values.enforce || values.shadow || values.dryRun);
    if (limits && sources.length !== 1) {
      conflict(
        'limits need one place from which the pods are known',
        'Give one of --kubeconfig FILE, --in-cluster, --snapshot FILE.',
      );
    }
    const wantsTls = values['tls.ca'] ?? values['tls.cert'] ?? values['tls.serverName'];
    if (values.insecure && wantsTls !== undefined) {
      conflict('insecure contradicts the tls options', 'Leave out insecure to report over TLS, or the tls options.');
    }
  },
});
