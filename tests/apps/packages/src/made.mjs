export default class extends Date {}
