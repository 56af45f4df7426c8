/** What a guest needs cannot be had on this machine: another system, another processor, no mirror. */
export class NotPossible extends Error {}
