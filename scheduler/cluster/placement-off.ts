import { asObject, asText, excerpt } from '../../lib/json/json-access.ts';

/** On a pod or its namespace, as annotation or label (which is what people select namespaces by). */
const PLACEMENT = 'netloom.io/placement';

/** "off", in any case, keeps Netloom from having an opinion. Pure. */
export function isPlacementOff(metadata: { readonly annotations?: unknown; readonly labels?: unknown }): boolean {
  return valuesOf(metadata).some((value) => value.toLowerCase() === 'off');
}

/** What stands there and means nothing, for people; undefined: nothing does. */
export function oddPlacement(metadata: {
  readonly annotations?: unknown;
  readonly labels?: unknown;
}): string | undefined {
  const odd = valuesOf(metadata).find((value) => !['off', 'on', ''].includes(value.toLowerCase()));
  return odd === undefined ? undefined : `${PLACEMENT} ${excerpt(odd)} is not "off", and changes nothing`;
}

function valuesOf({ annotations, labels }: { readonly annotations?: unknown; readonly labels?: unknown }): string[] {
  return [annotations, labels].flatMap((of) => {
    const object = asObject(of);
    const value = object !== undefined && Object.hasOwn(object, PLACEMENT) ? asText(object[PLACEMENT]) : undefined;
    return value === undefined ? [] : [value.trim()];
  });
}
