/** How kube-scheduler is told of this extender (kubescheduler.config.k8s.io/v1, KubeSchedulerConfiguration.extenders). Pure. */

export interface KubeSchedulerConfigOptions {
  /** HOST:PORT at which kube-scheduler reaches us. */
  readonly address: string;
  readonly tls: boolean;
  /** kube-scheduler must show a certificate of its own. */
  readonly clientCertificate: boolean;
  /** Highest score, as in PlacementSettings: 80 or 10. */
  readonly scoreRange: number;
  /** Nodes without headroom are to be refused (PlacementSettings.maxLinkUse). */
  readonly filters?: boolean;
}

/** Without us a cycle goes on; a black hole costs a pod this much, and 1,000 answers of ours fit into it. */
const HTTP_TIMEOUT = '100ms';

/**
 * A whole configuration with the one entry, as YAML. kube-scheduler multiplies a score by weight and by 10, so that
 * 80 with weight 1 and 10 with weight 8 outweigh its own plugins alike.
 */
export function kubeSchedulerConfig({
  address,
  tls,
  clientCertificate,
  scoreRange,
  filters = false,
}: KubeSchedulerConfigOptions): string {
  const tlsConfig = [
    '  enableHTTPS: true',
    '  tlsConfig:',
    '    # Without a CA kube-scheduler does not verify whom it talks to.',
    '    # Where kube-scheduler finds it: a path of its own file system.',
    '    caFile: /etc/kubernetes/netloom/ca.crt',
    ...(clientCertificate
      ? ['    certFile: /etc/kubernetes/netloom/tls.crt', '    keyFile: /etc/kubernetes/netloom/tls.key']
      : []),
  ];
  return [
    'apiVersion: kubescheduler.config.k8s.io/v1',
    'kind: KubeSchedulerConfiguration',
    '# Add the entry below to the configuration that your kube-scheduler has (--config). Or start a second one with this',
    '# file, for the pods that name it (spec.schedulerName), and with these lines:',
    '# clientConnection: {kubeconfig: FILE}',
    '# leaderElection: {leaderElect: false} # else it waits for the lease of the first',
    '# profiles: [{schedulerName: netloom}]',
    'extenders:',
    ...(isAnyAddress(address) ? ['# An address at which kube-scheduler reaches Netloom, instead of this one:'] : []),
    `- urlPrefix: ${tls ? 'https' : 'http'}://${address}`,
    ...(filters ? ['  # Refuses nodes whose link a pod would fill; never all of them.', '  filterVerb: filter'] : []),
    '  prioritizeVerb: prioritize',
    `  weight: ${80 / scoreRange}`,
    '  # Names instead of whole Node objects: a fifth of the time at 1,000 nodes.',
    '  nodeCacheCapable: true',
    '  # A fault of ours never keeps a pod from being scheduled.',
    '  ignorable: true',
    `  httpTimeout: ${HTTP_TIMEOUT}`,
    ...(tls ? tlsConfig : []),
    '',
  ].join('\n');
}

/** What one listens on, and cannot be called at. */
function isAnyAddress(address: string): boolean {
  return /^(0\.0\.0\.0|\[::\]):/.test(address);
}
