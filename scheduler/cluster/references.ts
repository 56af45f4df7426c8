/**
 * The Services that a reference of a pod template may mean, the likeliest first: DNS finds "service", "service.namespace",
 * and of headless ones "pod.service" and "pod.service.namespace".
 * @param namespace of the pod
 */
export function servicesMeant(
  reference: string,
  namespace: string,
): readonly { readonly name: string; readonly namespace: string }[] {
  const [first = '', second, third] = reference.split('.');
  if (second === undefined) return [{ name: first, namespace }];
  if (third !== undefined) return [{ name: second, namespace: third }];
  return [
    { name: first, namespace: second },
    { name: second, namespace },
  ];
}
