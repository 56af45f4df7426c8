/** Host and port; IPv6 hosts without brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * PEM files, read again for every connection. `ca`: who may have signed the scheduler's certificate (default: the
 * authorities that Node trusts). `cert` and `key` prove the agent.
 */
export interface AgentTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Name expected in the scheduler's certificate, where it differs from the address. */
  readonly serverName?: string | undefined;
}

export interface AgentOptions {
  /** Kubernetes name of this node. */
  readonly node: string;
  /** Where the scheduler listens for agents. */
  readonly scheduler: Address;
  /** Length of a period. Default 10 s; sane: 1 s to 60 s. */
  readonly intervalMs: number;
  /** File with one path of a network namespace a line; only these are measured. Absent: all of this kernel. */
  readonly scope?: string | undefined;
  /** Devices through which traffic leaves the node. Default: those with a default route. */
  readonly uplinks?: readonly string[] | undefined;
  /** Bits per second of the uplinks (all, or by name), where the admin knows better than the device. */
  readonly uplinkSpeedBps?: Readonly<Record<string, number>> | number | undefined;
  /** Network namespace whose devices are the uplinks. Default: that of this process. */
  readonly uplinkNetns?: string | undefined;
  /** Edges that the kernel's map holds, 112 B each. Default 65,536. */
  readonly maxEdges?: number | undefined;
  /** Folder on a bpffs in which maps and program outlive this agent. Default: none, counting ends with it. */
  readonly pins?: string | undefined;
  /** Folder for what the next agent on the same pins must know. Default /run/netloom. */
  readonly state?: string | undefined;
  /** Where Prometheus may ask. Default: nowhere. */
  readonly metrics?: Address | undefined;
  /** Absent: plain text. */
  readonly tls?: AgentTls | undefined;
  /** Memory for reports that the scheduler has not acknowledged. Default: that of the report stream. */
  readonly maxUnackedBytes?: number | undefined;
  /** The compiled eBPF object. Default: where scripts/build-bpf.sh puts it. */
  readonly bpfObject?: string | undefined;
  /** Of this agent, for people. */
  readonly version?: string | undefined;
}
