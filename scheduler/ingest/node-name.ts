/**
 * A DNS-1123 subdomain of at most 253 characters, as Kubernetes demands it of node names (it bounds no label).
 * https://github.com/kubernetes/apimachinery/blob/master/pkg/util/validation/validation.go (IsDNS1123Subdomain)
 */
export function isNodeName(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => LABEL.test(label));
}

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
