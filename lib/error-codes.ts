/**
 * Registry of every error code: what it means and what the reader can do.
 * A test checks that each code is used, and that each code in the sources is registered.
 */
export const ERROR_CODES = {
  CONFIG_INVALID: {
    meaning: 'A flag, environment variable or configuration key has a value that cannot be used.',
    remedy: 'Correct the value; `netloom COMMAND --help` lists the valid ones.',
  },
  CONFIG_UNKNOWN_KEY: {
    meaning: 'The configuration file names a key that does not exist.',
    remedy: 'Use the name that is suggested, or remove the key.',
  },
  CONFIG_MISSING: {
    meaning: 'A required option was given nowhere.',
    remedy: 'Give it as a flag, in the environment or in the configuration file.',
  },
  CONFIG_CONFLICT: {
    meaning: 'Two options contradict each other, or one needs another.',
    remedy: 'Change or complete them as said.',
  },
  CONFIG_UNREADABLE: {
    meaning: 'The configuration file cannot be read.',
    remedy: 'Check the path given with --config or NETLOOM_CONFIG, and the permissions of the file.',
  },
  USAGE: {
    meaning: 'The command line has a command, flag or argument that does not exist, or lacks one.',
    remedy: '`netloom --help` lists the commands, `netloom COMMAND --help` the options of one.',
  },
  OUTPUT_FAILED: {
    meaning: 'The result could not be written to standard output.',
    remedy: 'Check the disk or program that it is sent to.',
  },
  INTERNAL: {
    meaning: 'A fault of Netloom itself.',
    remedy: 'Run it again with --log-level debug and report what it shows.',
  },
  BPF_LIBRARY_MISSING: {
    meaning: 'libbpf could not be loaded.',
    remedy: 'Install libbpf 1.x (Debian: apt-get install libbpf1), or name its path in NETLOOM_LIBBPF.',
  },
  BPF_OBJECT_MISSING: {
    meaning: 'A compiled BPF object is not where it should be.',
    remedy: 'Run scripts/build-bpf.sh (it needs clang), or use the objects shipped with a release.',
  },
  BPF_OBJECT_INVALID: {
    meaning: 'A file is not a BPF object that can be used.',
    remedy: 'Rebuild it with scripts/build-bpf.sh; it must be compiled with -g, so that it carries BTF.',
  },
  BPF_NAME_UNKNOWN: {
    meaning: 'A BPF object has no map, program, struct or constant of that name.',
    remedy: 'Rebuild the object with scripts/build-bpf.sh: it may be older than the program that uses it.',
  },
  BPF_CONSTANT_INVALID: {
    meaning: 'A value does not fit the BPF constant that it is meant for.',
    remedy: 'Give a whole number within the range of its C type.',
  },
  BPF_LAYOUT_MISMATCH: {
    meaning: 'A struct is laid out otherwise in the BPF object than the TypeScript side reads it.',
    remedy: 'Rebuild the object with scripts/build-bpf.sh, and keep the layout in TypeScript in step with the header.',
  },
  BPF_NOT_PERMITTED: {
    meaning: 'The kernel refused a BPF operation to this process.',
    remedy:
      'Run as root or with CAP_BPF and CAP_PERFMON (programs of tc also want CAP_NET_ADMIN); `netloom doctor` says what is missing.',
  },
  BPF_LOAD_FAILED: {
    meaning: 'The kernel refused to load a BPF object.',
    remedy: 'Run `netloom doctor`: it says which features this kernel lacks and what to do about each.',
  },
  BPF_ATTACH_FAILED: {
    meaning: 'A loaded BPF program could not be attached.',
    remedy: 'Run `netloom doctor`: it says which features this kernel lacks and what to do about each.',
  },
  BPF_MAP_FAILED: {
    meaning: 'A BPF map could not be read or written.',
    remedy: 'Look at the errno: a map that is full needs more max_entries, one that is gone was pinned elsewhere.',
  },
  BPF_SYSTEM_FAILED: {
    meaning: 'A system call that BPF needs failed.',
    remedy: 'Run `netloom doctor`: it says which features this kernel lacks and what to do about each.',
  },
  BPF_PIN_FAILED: {
    meaning: 'A BPF map or link could not be pinned, or a pin could not be opened.',
    remedy: 'The path must lie on a bpffs, and its name must be free.',
  },
  BPF_CLOSED: {
    meaning: 'A BPF object, map or link was used after it had been closed.',
    remedy: 'This is a fault of Netloom: please report it with the log.',
  },
  BPFFS_UNUSABLE: {
    meaning: 'A directory is no bpffs, and none may be mounted there.',
    remedy: "Name a directory of Netloom's own, such as /run/netloom/bpf, or mount one: mount -t bpf bpf DIR.",
  },
  NETLINK_NOT_PERMITTED: {
    meaning: 'The kernel refused a look at, or a change of, network devices to this process.',
    remedy: 'Run as root or with CAP_NET_ADMIN, in the network namespace of the node.',
  },
  NETLINK_REFUSED: {
    meaning: 'The kernel refused a request about network devices, addresses, routes or queueing disciplines.',
    remedy: "Read the kernel's own words in the message; what was there before is still there.",
  },
  NETLINK_FAILED: {
    meaning: 'The kernel could not be asked about the network, or its answer did not come.',
    remedy: 'None, if it comes once: it is tried again. Else look for a process that holds the RTNL lock.',
  },
  NETLINK_INCONSISTENT: {
    meaning: 'Network devices, addresses or routes changed faster than they could be read.',
    remedy: 'None: it is tried again.',
  },
  NETLINK_MALFORMED: {
    meaning: 'An answer of the kernel about the network could not be understood.',
    remedy: 'Report it with the output of `uname -r`.',
  },
  LAB_NEEDS_ROOT: {
    meaning: 'The lab makes network namespaces, for which this process lacks the right.',
    remedy: 'Run it as root (`sudo netloom lab ...`), outside of an unprivileged container.',
  },
  LAB_TOOL_MISSING: {
    meaning: 'A program that the lab calls is not installed.',
    remedy: 'On Debian and Ubuntu: apt-get install iproute2 nftables util-linux.',
  },
  LAB_NO_COMPILER: {
    meaning: 'The traffic program of the lab could not be compiled.',
    remedy: 'Install a C compiler: apt-get install clang libc6-dev, or name one in the environment variable CC.',
  },
  LAB_NAME_INVALID: {
    meaning: 'The name of the lab cannot be used in names of namespaces.',
    remedy: 'Use 1 to 12 lower-case letters and digits, beginning with a letter.',
  },
  LAB_EXISTS: {
    meaning: 'There is a lab of this name already, or what a crashed one left.',
    remedy: 'Take it down with `netloom lab down --name NAME`, or choose another --name.',
  },
  LAB_NOT_FOUND: {
    meaning: 'There is no lab of this name.',
    remedy: 'Start one with `netloom lab up`.',
  },
  LAB_STATE_BROKEN: {
    meaning: 'The file that describes the lab cannot be read.',
    remedy:
      'Remove the lab with `netloom lab down --name NAME`; it finds what belongs to the lab without that file too.',
  },
  LAB_SCENARIO_INVALID: {
    meaning: 'The scenario file of the lab does not describe a cluster that can be built.',
    remedy: 'Correct the named place; lab/scenarios/two-nodes.json is a small valid example.',
  },
  LAB_COMMAND_FAILED: {
    meaning: 'A program that the lab called (ip, nft, nsenter) failed.',
    remedy: 'Read its message; `netloom lab down` removes what was made so far.',
  },
  LAB_POD_FAILED: {
    meaning: 'A traffic process of the lab did not start or ended by itself.',
    remedy: 'Read its log in the folder of the lab; take the lab down and start it again.',
  },
  LAB_UNKNOWN_OBJECT: {
    meaning: 'A node, workload or pod was named that the lab does not have.',
    remedy: 'Use a name out of the snapshot file of the lab.',
  },
  LAB_ADDRESSES_EXHAUSTED: {
    meaning: 'A node of the lab has given out every address of its pod range once.',
    remedy: 'Start a fresh lab: addresses are not given out twice, so that the true matrix stays unambiguous.',
  },
  RECORDING_INVALID: {
    meaning: 'A recorded report stream cannot be read.',
    remedy: 'Use a file written by this version of Netloom, or record a new one.',
  },
  REPORT_MALFORMED: {
    meaning: 'A message between agent and scheduler does not follow proto/report.proto, or a figure in it cannot be.',
    remedy: 'Run agents and scheduler of the same release; something else may be talking to this port.',
  },
  REPORT_PROTOCOL_MISMATCH: {
    meaning: 'Agent and scheduler speak different versions of the report contract.',
    remedy: 'Bring both to the same release: the scheduler first, then the agents.',
  },
  REPORT_STREAM_REPLACED: {
    meaning: 'Another agent said hello with the same node name.',
    remedy: 'See that only one agent runs for each node, and that every agent has its own node name.',
  },
  REPORT_NODE_REFUSED: {
    meaning: 'The node name of an agent is no Kubernetes node name, or not the one it may speak for.',
    remedy: 'Start the agent with --node and the name that `kubectl get nodes` shows.',
  },
  REPORT_OUT_OF_ORDER: {
    meaning: 'An agent sent a message where the contract has no place for it.',
    remedy: 'Run agents and scheduler of the same release; something else may be talking to this port.',
  },
  REPORT_LIMIT_REACHED: {
    meaning: 'The scheduler has as many agents as it may have, or one was too slow or too silent.',
    remedy: 'Raise the limit if the cluster is that large; otherwise look at the agent and the network between.',
  },
  REPORT_NOT_COMMITTED: {
    meaning: 'The scheduler could not commit a report. The agent keeps it and sends it again.',
    remedy: 'Look into the log of the scheduler: its disk may be full.',
  },
  REPORT_UNAVAILABLE: {
    meaning: 'The scheduler is stopping, or could not be reached in time.',
    remedy: 'None, if it comes back: the agent keeps its reports and connects again.',
  },
  REPORT_LISTEN_FAILED: {
    meaning: 'The address for agents could not be listened on.',
    remedy: 'Choose a free address with --listen-agents HOST:PORT.',
  },
  REPORT_TLS_REQUIRED: {
    meaning: 'The scheduler was asked to take reports without TLS on an address that others can reach.',
    remedy: 'Configure a certificate, listen on 127.0.0.1, or allow plaintext explicitly.',
  },
  SNAPSHOT_UNREADABLE: {
    meaning: 'The snapshot file cannot be opened or read.',
    remedy: 'Check the path and its permissions.',
  },
  SNAPSHOT_WRONG_FORM: {
    meaning: 'The snapshot file is not JSON: YAML, a table, UTF-16 text, or something else.',
    remedy:
      'Write it with `kubectl get nodes,pods,services,deployments,replicasets,statefulsets,daemonsets -A -o json > FILE`.',
  },
  SNAPSHOT_SYNTAX: {
    meaning: 'The snapshot file begins as JSON, but is not valid further on.',
    remedy: 'Write the file anew; if it was edited by hand, correct it at the place named.',
  },
  SNAPSHOT_TRUNCATED: {
    meaning: 'The snapshot file ends in the middle.',
    remedy: 'The command that wrote it was interrupted, the disk was full, or it is still writing: write it anew.',
  },
  SNAPSHOT_TOO_LARGE: {
    meaning: 'One object of the snapshot file is larger than any Kubernetes object can be.',
    remedy: 'Pass kubectl output or the form that docs/snapshot-format.md describes.',
  },
  SNAPSHOT_VERSION: {
    meaning: 'The file says that it is a Netloom snapshot, but of another version or of another kind.',
    remedy: 'Export it again with a Netloom of this version (`netloom graph --export DIR`).',
  },
  SNAPSHOT_EMPTY: {
    meaning: 'The snapshot file holds neither a node nor a pod.',
    remedy:
      'Write it with `kubectl get nodes,pods,services,deployments,replicasets,statefulsets,daemonsets -A -o json > FILE`.',
  },
  TRAFFIC_UNREADABLE: {
    meaning: 'The traffic file cannot be opened or read.',
    remedy: 'Check the path and its permissions.',
  },
  TRAFFIC_HEADER: {
    meaning: 'The first line of the traffic file is not the header that is expected.',
    remedy:
      'Begin the file with: namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in',
  },
  TRAFFIC_ROW: {
    meaning: 'A row of the traffic file cannot be read.',
    remedy: 'Correct the line that is named; the form is described in docs/traffic-format.md.',
  },
  AGENT_PINS_IN_USE: {
    meaning: 'Another agent runs with the same folder of pins; two would count the same sockets into the same maps.',
    remedy: 'End the other agent, or give this one a folder of its own with --pins.',
  },
  AGENT_LIMITS_ELSEWHERE: {
    meaning: 'Limits that are pinned in another folder are in force on this node; beside them others would not hold.',
    remedy: 'Take them away with `netloom agent --detach --pins DIR`, or go on with them: start with that --pins.',
  },
  AGENT_LIMITS_RUNNING: {
    meaning: 'Another agent that attaches limits runs in the same network namespace, whatever its --pins and --state.',
    remedy: 'End the other agent; on a node there is one that limits.',
  },
  AGENT_OTHER_NAMESPACE: {
    meaning: 'The pins are about limits in another network namespace than the one in which this was started.',
    remedy:
      "Run it in the node's network namespace: with hostNetwork: true in a pod, or by nsenter. If that namespace is gone, " +
      'remove the folder (rm -r).',
  },
  AGENT_LISTEN_FAILED: {
    meaning: 'A listener of the agent (metrics, limits) cannot be opened.',
    remedy: 'Choose another address with --metrics-listen, or end the program that listens there.',
  },
  AGENT_UNREACHABLE: {
    meaning: 'The agent of this node does not tell of its limits.',
    remedy: 'Start `netloom agent --enforce` (or --shadow, --dry-run) on this node, or name its socket with --socket.',
  },
  API_NOT_LOOPBACK: {
    meaning: 'The read API was given an address that other machines reach; it does not authenticate.',
    remedy: 'Use a loopback address, and `kubectl port-forward` or ssh to reach it from elsewhere.',
  },
  API_LISTEN_FAILED: {
    meaning: 'The read API cannot listen at its address.',
    remedy: 'Free the port, or choose another one with --listen-api.',
  },
  API_UNREACHABLE: {
    meaning: "The scheduler's read API does not answer.",
    remedy: 'Start `netloom scheduler`, see why it hangs if it runs, or name its read API with --api HOST:PORT.',
  },
  API_REFUSED: {
    meaning: 'The scheduler understood the question and cannot answer it.',
    remedy: 'The sentence above says what is missing; `netloom graph` lists what is known.',
  },
  API_REPLY_INVALID: {
    meaning: 'What answered is no Netloom scheduler, or one of another version.',
    remedy: 'Check --api; use the command line and the scheduler of the same version.',
  },
  SCHEDULER_START_FAILED: {
    meaning: 'A part of the scheduler could not start.',
    remedy: 'The message names the part; its log lines stand above.',
  },
  SIMULATION_IMPOSSIBLE: {
    meaning: 'A snapshot has no nodes with room, or no pods to place on them.',
    remedy: 'Take it with: kubectl get nodes,pods,services,deployments,replicasets,statefulsets,daemonsets -A -o json.',
  },
  ARRIVALS_INVALID: {
    meaning: 'The file that says in which order pods arrive cannot be used.',
    remedy: 'Write a JSON list of "namespace/pod", each pod of the snapshot at most once.',
  },
  EXPORT_FAILED: {
    meaning: 'The files of an export could not be written.',
    remedy: 'Name a folder that can be written to, with room for the files.',
  },
  GRAPH_FULL: {
    meaning: 'The graph knows as many nodes as it may.',
    remedy: 'Find out who reports under so many names; certificates (--agents-tls-client-ca) keep strangers out.',
  },
  STORE_UNREADABLE: {
    meaning: 'The file of the saved graph is damaged, of another program, or of a newer Netloom.',
    remedy: 'The file was moved aside, and the graph is learned anew. Start the Netloom that wrote it, or delete it.',
  },
  STORE_IN_USE: {
    meaning: 'Another scheduler that runs saves its graph into the same file.',
    remedy: 'Give each scheduler its own --store, or end the other one.',
  },
  STORE_UNWRITABLE: {
    meaning: 'The file of the saved graph cannot be made or opened.',
    remedy: 'Name a path in a folder that this user may write to, on a file system with room.',
  },
  STORE_WRITE_FAILED: {
    meaning:
      'The graph could not be saved. It goes on in memory; agents keep what is not saved, and saving is tried again.',
    remedy: 'Make room on the file system of the store, or see to its disk.',
  },
  KUBECONFIG_UNUSABLE: {
    meaning: 'It is not known which API server to watch, or how.',
    remedy: 'Name a kubeconfig that kubectl can use with --kubeconfig, or run in a pod with a ServiceAccount token.',
  },
  TLS_UNUSABLE: {
    meaning: 'The certificate, key or CA of a listener or an agent cannot be used.',
    remedy:
      'Give PEM files: the certificate with its chain, the private key that belongs to it, the CA of the callers.',
  },
  EXTENDER_LISTEN_FAILED: {
    meaning: 'The extender cannot listen on its address.',
    remedy: 'Choose a free port and an address of this machine, or stop what listens there.',
  },
  DEMO_FAILED: {
    meaning: 'The demo could not go on.',
    remedy: 'The message tells which part failed; `netloom lab down` removes what may be left.',
  },
} as const satisfies Record<string, { meaning: string; remedy: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;
