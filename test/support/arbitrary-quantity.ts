import fc from 'fast-check';

const digits = (least: number, most: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: least, maxLength: most }).map((list) => list.join(''));

const SUFFIXES = ['', 'n', 'u', 'm', 'k', 'M', 'G', 'T', 'P', 'E', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

const suffix = fc.oneof(
  fc.constantFrom(...SUFFIXES),
  fc
    .tuple(fc.constantFrom('e', 'E'), fc.constantFrom('', '+', '-'), fc.integer({ min: 0, max: 20 }))
    .map(([e, sign, exponent]) => `${e}${sign}${exponent}`),
);

/** Quantities of every form of the grammar (apimachinery/pkg/api/resource/quantity.go). */
export const quantity = fc
  .tuple(fc.constantFrom('', '', '', '+', '-'), digits(1, 12), fc.option(digits(0, 12)), suffix)
  .map(([sign, whole, fraction, unit]) => `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${unit}`);

/** Of the order of real bandwidths. */
export const bandwidth = fc
  .tuple(
    digits(1, 4),
    fc.option(digits(0, 5)),
    fc.constantFrom('k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'e3', 'E6', 'e+9'),
  )
  .map(([whole, fraction, unit]) => `${whole}${fraction === null ? '' : `.${fraction}`}${unit}`);

/** Nearly quantities: one of the characters that they are made of is put in, taken out or changed. */
export const nearlyQuantity = fc
  .tuple(fc.oneof(quantity, bandwidth), fc.nat(20), fc.constantFrom(...' +-.eEinumkKMGTP019,_bB'), fc.nat(2))
  .map(([text, at, char, how]) => {
    const i = at % (text.length + 1);
    return text.slice(0, i) + (how === 1 ? '' : char) + text.slice(how === 0 ? i : i + 1);
  });
