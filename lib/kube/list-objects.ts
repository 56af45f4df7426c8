import { asObject, asText } from '../json/json-access.ts';

const MAX_NESTED_LISTS = 32;

/**
 * The objects of a document that may be a List, a PodList and so on, an array, lists within lists, or one object, as
 * JsonScanner tells them of JSON; this is for documents that are parsed already. Pure.
 * @param take gets the kind that the list implies for those that do not say theirs, as items of a PodList
 */
export function eachObject(document: unknown, take: (value: unknown, impliedKind: string | undefined) => void): void {
  const walk = (value: unknown, impliedKind: string | undefined, depth: number): void => {
    const object = asObject(value);
    const items = Array.isArray(value) ? (value as unknown[]) : object?.['items'];
    if (!Array.isArray(items) || depth > MAX_NESTED_LISTS) {
      take(value, impliedKind);
      return;
    }
    const kind = /^(.+)List$/.exec(asText(object?.['kind']) ?? '')?.[1] ?? impliedKind;
    for (const item of items) walk(item, kind, depth + 1);
  };
  walk(document, undefined, 0);
}
