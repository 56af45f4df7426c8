/** Reading of JSON whose shape is not to be trusted: every getter answers undefined where the shape differs. */

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A string that is not empty. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** The string values of an object; others are left out. */
export function asLabels(value: unknown): Record<string, string> {
  const labels: Record<string, string> = {};
  const object = asObject(value);
  if (object === undefined) return labels;
  for (const key of Object.keys(object)) {
    const text = object[key];
    // A label named __proto__ would set the prototype instead of a field.
    if (typeof text === 'string' && key !== '__proto__') labels[key] = text;
  }
  return labels;
}

/** A few characters of any value for a message; never walks into it, for it may be huge or deep. */
export function excerpt(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const object = asObject(value);
  if (object === undefined) return String(value);
  return `{${Object.keys(object).slice(0, 6).join(', ').slice(0, 80)}}`;
}
