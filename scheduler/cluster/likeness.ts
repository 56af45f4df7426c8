import type { PodTemplate } from './model.ts';

const LABELS = ['app.kubernetes.io/name', 'app.kubernetes.io/component', 'app.kubernetes.io/part-of'] as const;

/**
 * Equal for workloads of one namespace that are most likely the same program in the same role: a canary, a blue and a green one.
 * undefined: there is too little to tell by, an image (many run "redis") or a label alone.
 */
export function likeness(
  namespace: string,
  template: PodTemplate | undefined,
  labels: Readonly<Record<string, unknown>>,
): string | undefined {
  if (template === undefined || template.images.length === 0) return undefined;
  const values = LABELS.map((label) => (Object.hasOwn(labels, label) ? labels[label] : undefined));
  if (values.every((value) => typeof value !== 'string' || value === '')) return undefined;
  return JSON.stringify([namespace, [...template.images].sort(), values.map((value) => value ?? null)]);
}
