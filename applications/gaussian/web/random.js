// Seeded random numbers: a seed gives the same draws in every browser, so a link shows what you saw.

/**
 * A source of uniform numbers in [0, 1), 53 bits each.
 *
 * The generator is sfc32, three words mixed with a counter (Doty-Humphrey, PractRand, 2010).
 *
 * @param {number} seed fixes the numbers.
 * @param {number} stream separates uses of one seed.
 * @returns {() => number}
 */
export function uniforms(seed, stream) {
  let a = seed >>> 0;
  let b = stream >>> 0;
  let c = 0x5f3759df;
  let counter = 1;

  const word = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };

  // The first words still look like the seed.
  for (let k = 0; k < 20; k++) word();
  return () => (word() * 2 ** 21 + (word() >>> 11)) / 2 ** 53;
}

/**
 * Standard normal numbers, by the transform of Box and Muller.
 *
 * @param {number} seed fixes the numbers.
 * @param {number} stream separates uses of one seed.
 * @param {number} count an even number.
 * @returns {Float64Array} [count]
 */
export function normals(seed, stream, count) {
  const uniform = uniforms(seed, stream);
  const numbers = new Float64Array(count);
  for (let k = 0; k < count; k += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    numbers[k] = radius * Math.cos(angle);
    numbers[k + 1] = radius * Math.sin(angle);
  }
  return numbers;
}
