import type { ControllerRecord, OwnerRef, PodRecord, Resources } from './model.ts';

/** Records of clusters that are no Kubernetes cluster: imported data, and made-up ones. */

export function plainController(kind: string, namespace: string, name: string, replicas: number): ControllerRecord {
  const uid = `${kind}/${namespace}/${name}`;
  return { type: 'controller', namespace, kind, name, uid, owner: undefined, replicas };
}

/** @param node undefined: it is pending, else it runs there */
export function plainPod(
  namespace: string,
  name: string,
  node: string | undefined,
  owner: OwnerRef,
  requests: Resources,
): PodRecord {
  return {
    type: 'pod',
    uid: `Pod/${namespace}/${name}`,
    namespace,
    name,
    node,
    addresses: [],
    hostNetwork: false,
    phase: node === undefined ? 'Pending' : 'Running',
    owner,
    labels: {},
    requests,
    mirror: false,
  };
}
