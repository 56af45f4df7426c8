/** Kubernetes objects with all that real ones carry besides the fields that Netloom reads; keys in the order kubectl prints. */

const TIME = '2026-11-20T08:15:30Z';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
}

export interface PodShape {
  readonly namespace: string;
  readonly name: string;
  readonly app: string;
  readonly owner?: OwnerReference;
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly hostIp?: string;
  readonly addresses?: readonly string[];
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  readonly hostNetwork?: boolean;
  /** A static pod as the API server shows it. */
  readonly mirror?: boolean;
}

/** Looks like a UUID, and is the same for the same object. */
export function uidOf(kind: string, namespace: string, name: string): string {
  let h = 0x811c9dc5;
  const words: string[] = [];
  for (let round = 0; round < 4; round++) {
    for (const c of `${round}${kind}/${namespace}/${name}`) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0;
    words.push(h.toString(16).padStart(8, '0'));
  }
  const hex = words.join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Who set which field: half of what a `kubectl get -o json --show-managed-fields` prints. */
function managedFields(manager: string, apiVersion: string, paths: readonly string[]): object[] {
  const fields: Record<string, object> = {};
  for (const path of paths) {
    let at = fields;
    for (const part of path.split('/')) at = (at[part] ??= {}) as Record<string, object>;
  }
  return [
    { apiVersion, fieldsType: 'FieldsV1', fieldsV1: fields, manager, operation: 'Update', time: TIME },
    {
      apiVersion,
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:status': { 'f:conditions': { 'k:{"type":"Ready"}': { '.': {}, 'f:status': {}, 'f:type': {} } } } },
      manager: 'kubelet',
      operation: 'Update',
      subresource: 'status',
      time: TIME,
    },
  ];
}

function ownerReferences(owner: OwnerReference | undefined, namespace: string): object {
  if (owner === undefined) return {};
  const uid = uidOf(owner.kind, namespace, owner.name);
  return { ownerReferences: [{ ...owner, blockOwnerDeletion: true, controller: true, uid }] };
}

const POD_FIELDS = [
  'f:metadata/f:generateName',
  'f:metadata/f:labels/f:app',
  'f:metadata/f:labels/f:pod-template-hash',
  'f:spec/f:containers/k:{"name":"main"}/f:env/k:{"name":"GREETING"}/f:value',
  'f:spec/f:containers/k:{"name":"main"}/f:image',
  'f:spec/f:containers/k:{"name":"main"}/f:resources/f:requests/f:cpu',
  'f:spec/f:dnsPolicy',
];

function container(app: string): object {
  return {
    args: ['--listen=:8080', `--name=${app}`, '--pattern=^/v[0-9]+/(?:items|pods)\\b', '--quote="{[\\"'],
    env: [
      // What a scanner of brackets and quotes stumbles over.
      { name: 'GREETING', value: 'Grüße, 世界 🌍: "}]{[" \\ \u0001 \u2028' },
      { name: 'CONFIG', value: '{"items":[{"kind":"Pod","metadata":{"name":"not-a-pod"}}]}' },
      { name: 'NODE_IP', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.hostIP' } } },
      { name: 'PASSWORD', valueFrom: { secretKeyRef: { key: 'password', name: `${app}-credentials` } } },
    ],
    image: `registry.example/shop/${app}:v1.27.3`,
    imagePullPolicy: 'IfNotPresent',
    livenessProbe: {
      failureThreshold: 3,
      httpGet: { path: '/healthz', port: 8080, scheme: 'HTTP' },
      periodSeconds: 10,
    },
    name: 'main',
    ports: [{ containerPort: 8080, name: 'http', protocol: 'TCP' }],
    resources: { limits: { cpu: '1', memory: '512Mi' }, requests: { cpu: '250m', memory: '128Mi' } },
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    volumeMounts: [
      { mountPath: '/etc/app', name: 'config', readOnly: true },
      { mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', name: 'kube-api-access', readOnly: true },
    ],
  };
}

function podSpec(app: string): object {
  return {
    containers: [container(app)],
    dnsPolicy: 'ClusterFirst',
    enableServiceLinks: true,
    preemptionPolicy: 'PreemptLowerPriority',
    priority: 0,
    restartPolicy: 'Always',
    schedulerName: 'default-scheduler',
    securityContext: { fsGroup: 1000, runAsNonRoot: true },
    serviceAccount: app,
    serviceAccountName: app,
    terminationGracePeriodSeconds: 30,
    tolerations: ['not-ready', 'unreachable'].map((taint) => ({
      effect: 'NoExecute',
      key: `node.kubernetes.io/${taint}`,
      operator: 'Exists',
      tolerationSeconds: 300,
    })),
    volumes: [
      { configMap: { defaultMode: 420, items: [{ key: 'app.yaml', path: 'app.yaml' }], name: app }, name: 'config' },
      {
        name: 'kube-api-access',
        projected: {
          defaultMode: 420,
          sources: [
            { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
            { configMap: { items: [{ key: 'ca.crt', path: 'ca.crt' }], name: 'kube-root-ca.crt' } },
          ],
        },
      },
    ],
  };
}

export function podObject(pod: PodShape): object {
  const { namespace, name, app, owner, node, addresses = [], phase } = pod;
  const uid = uidOf('Pod', namespace, name);
  const over = phase === 'Succeeded' || phase === 'Failed';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      annotations: {
        'prometheus.io/scrape': 'true',
        ...(pod.mirror === true
          ? { 'kubernetes.io/config.mirror': uid.replaceAll('-', ''), 'kubernetes.io/config.source': 'file' }
          : {}),
      },
      creationTimestamp: TIME,
      generateName: `${name.slice(0, -5)}`,
      labels: { app, 'app.kubernetes.io/managed-by': 'Helm', ...pod.labels },
      managedFields: managedFields('kube-controller-manager', 'v1', POD_FIELDS),
      name,
      namespace,
      ...ownerReferences(owner, namespace),
      resourceVersion: '48151623',
      uid,
    },
    spec: {
      ...podSpec(app),
      ...(pod.hostNetwork === true ? { hostNetwork: true } : {}),
      ...(node === undefined ? {} : { nodeName: node }),
    },
    status: {
      conditions: (node === undefined
        ? ['PodScheduled']
        : ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled']
      ).map((type) => ({
        lastProbeTime: null,
        lastTransitionTime: TIME,
        ...(node === undefined
          ? { message: '0/9 nodes are available: 9 Insufficient cpu.', reason: 'Unschedulable' }
          : {}),
        status: node === undefined ? 'False' : 'True',
        type,
      })),
      ...(node === undefined
        ? {}
        : {
            containerStatuses: [
              {
                containerID: `containerd://${uid.replaceAll('-', '').repeat(2)}`,
                image: `registry.example/shop/${app}:v1.27.3`,
                imageID: `registry.example/shop/${app}@sha256:${uid.replaceAll('-', '').repeat(2)}`,
                lastState: {},
                name: 'main',
                ready: !over,
                restartCount: 0,
                state: over
                  ? { terminated: { exitCode: phase === 'Failed' ? 1 : 0, finishedAt: TIME, startedAt: TIME } }
                  : { running: { startedAt: TIME } },
              },
            ],
            hostIP: pod.hostIp,
            hostIPs: [{ ip: pod.hostIp }],
          }),
      phase,
      ...(addresses.length === 0 ? {} : { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) }),
      qosClass: 'Burstable',
      startTime: TIME,
    },
  };
}

export interface NodeShape {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  readonly zone: string;
  readonly region: string;
}

export function nodeObject({ name, addresses, podCidrs, zone, region }: NodeShape): object {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      annotations: {
        'node.alpha.kubernetes.io/ttl': '0',
        'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
      },
      creationTimestamp: TIME,
      labels: {
        'kubernetes.io/arch': 'amd64',
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'topology.kubernetes.io/region': region,
        'topology.kubernetes.io/zone': zone,
      },
      managedFields: managedFields('kubelet', 'v1', ['f:metadata/f:labels/f:kubernetes.io~1arch', 'f:spec/f:podCIDRs']),
      name,
      resourceVersion: '48151000',
      uid: uidOf('Node', '', name),
    },
    spec: { podCIDR: podCidrs[0], podCIDRs: podCidrs, providerID: `example:///${zone}/${name}` },
    status: {
      addresses: [
        ...addresses.map((address) => ({ address, type: 'InternalIP' })),
        { address: name, type: 'Hostname' },
      ],
      allocatable: { cpu: '7910m', 'ephemeral-storage': '47093746742', memory: '30596528Ki', pods: '110' },
      capacity: { cpu: '8', 'ephemeral-storage': '52416492Ki', memory: '32386480Ki', pods: '110' },
      conditions: ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => ({
        lastHeartbeatTime: TIME,
        lastTransitionTime: TIME,
        message: 'kubelet has sufficient memory available',
        reason: 'KubeletHasSufficientMemory',
        status: type === 'Ready' ? 'True' : 'False',
        type,
      })),
      images: Array.from({ length: 30 }, (_, i) => ({
        names: [
          `registry.example/shop/image-${i}@sha256:${'0123456789abcdef'.repeat(4)}`,
          `registry.example/shop/image-${i}:v1`,
        ],
        sizeBytes: 10_000_000 + i,
      })),
      nodeInfo: {
        architecture: 'amd64',
        bootID: uidOf('boot', '', name),
        kernelVersion: '6.18.0',
        kubeletVersion: 'v1.37.2',
      },
    },
  };
}

export function serviceObject(namespace: string, name: string, addresses: readonly string[]): object {
  const headless = addresses.length === 0;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"apiVersion":"v1","kind":"Service"}\n' },
      creationTimestamp: TIME,
      name,
      namespace,
      resourceVersion: '48150999',
      uid: uidOf('Service', namespace, name),
    },
    spec: {
      clusterIP: headless ? 'None' : addresses[0],
      clusterIPs: headless ? ['None'] : addresses,
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }],
      selector: { app: name },
      type: 'ClusterIP',
    },
    status: { loadBalancer: {} },
  };
}

/** Deployment, ReplicaSet or StatefulSet. */
export function controllerObject(
  kind: string,
  namespace: string,
  name: string,
  app: string,
  replicas: number,
  owner?: OwnerReference,
): object {
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: {
      annotations: { 'deployment.kubernetes.io/revision': '7' },
      creationTimestamp: TIME,
      generation: 7,
      labels: { app },
      managedFields: managedFields('helm', 'apps/v1', ['f:spec/f:replicas', 'f:spec/f:template/f:spec/f:containers']),
      name,
      namespace,
      ...ownerReferences(owner, namespace),
      resourceVersion: '48151001',
      uid: uidOf(kind, namespace, name),
    },
    spec: {
      replicas,
      selector: { matchLabels: { app } },
      template: { metadata: { creationTimestamp: null, labels: { app } }, spec: podSpec(app) },
    },
    status: { observedGeneration: 7, readyReplicas: replicas, replicas },
  };
}
