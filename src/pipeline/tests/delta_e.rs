//! How far apart two colors look: CIEDE2000 (Sharma, Wu, Dalal: Color Research and Application 30(1), 2005), and the
//! definitions of the spaces that photographs come in, from their standards and by none of our code.

/// A space by its primaries and white in xy, and its curve.
pub struct Space {
    to_xyz: [[f64; 3]; 3],
    white: [f64; 3],
    decode: fn(f64) -> f64,
    encode: fn(f64) -> f64,
}

const D65: [f64; 2] = [0.3127, 0.3290];
const D50: [f64; 2] = [0.3457, 0.3585];

pub fn srgb() -> Space {
    Space::new([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]], D65, srgb_decode, srgb_encode)
}

pub fn display_p3() -> Space {
    Space::new([[0.680, 0.320], [0.265, 0.690], [0.150, 0.060]], D65, srgb_decode, srgb_encode)
}

pub fn adobe_rgb() -> Space {
    let gamma = 563.0 / 256.0;
    assert!((gamma - 2.199_218_75_f64).abs() < 1e-9);
    Space::new(
        [[0.64, 0.33], [0.21, 0.71], [0.15, 0.06]],
        D65,
        |v| v.powf(563.0 / 256.0),
        |v| v.max(0.0).powf(256.0 / 563.0),
    )
}

pub fn pro_photo() -> Space {
    Space::new(
        [[0.734_699, 0.265_301], [0.159_597, 0.840_403], [0.036_598, 0.000_105]],
        D50,
        |v| if v < 16.0 / 512.0 { v / 16.0 } else { v.powf(1.8) },
        |v| if v < 1.0 / 512.0 { v * 16.0 } else { v.powf(1.0 / 1.8) },
    )
}

fn srgb_decode(v: f64) -> f64 {
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

fn srgb_encode(v: f64) -> f64 {
    if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

impl Space {
    fn new(primaries: [[f64; 2]; 3], white: [f64; 2], decode: fn(f64) -> f64, encode: fn(f64) -> f64) -> Self {
        let xyz = |[x, y]: [f64; 2]| [x / y, 1.0, (1.0 - x - y) / y];
        let columns = primaries.map(xyz);
        let unscaled = transposed(columns);
        let white = xyz(white);
        let scale = times(inverse(unscaled), white);
        let to_xyz = unscaled.map(|row| [row[0] * scale[0], row[1] * scale[1], row[2] * scale[2]]);
        Self { to_xyz, white, decode, encode }
    }

    /// XYZ under D50, by Bradford, of values 0 to 1.
    fn d50(&self, rgb: [f64; 3]) -> [f64; 3] {
        times(bradford(self.white, [0.9642, 1.0, 0.8249]), times(self.to_xyz, rgb.map(self.decode)))
    }

    /// Values, 0 to 1 where the space has the color, of one in another space.
    pub fn from(&self, other: &Self, rgb: [f64; 3]) -> [f64; 3] {
        let xyz = times(bradford([0.9642, 1.0, 0.8249], self.white), other.d50(rgb));
        times(inverse(self.to_xyz), xyz).map(self.encode)
    }

    pub fn lab(&self, rgb: [f64; 3]) -> [f64; 3] {
        let [x, y, z] = self.d50(rgb);
        let f = |t: f64| if t > 216.0 / 24_389.0 { t.cbrt() } else { (24_389.0 / 27.0 * t + 16.0) / 116.0 };
        let (fx, fy, fz) = (f(x / 0.9642), f(y), f(z / 0.8249));
        [116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)]
    }
}

fn bradford(from: [f64; 3], to: [f64; 3]) -> [[f64; 3]; 3] {
    let cone = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]];
    let (a, b) = (times(cone, from), times(cone, to));
    let scaled: [[f64; 3]; 3] = std::array::from_fn(|i| cone[i].map(|v| v * b[i] / a[i]));
    product(inverse(cone), scaled)
}

fn times(m: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

fn transposed(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| m[j][i]))
}

fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    transposed(transposed(b).map(|column| times(a, column)))
}

fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |i: usize, j: usize| {
        let (a, b, c, d) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let determinant: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i) / determinant))
}

/// CIEDE2000 with weights of 1.
pub fn delta_e([l1, a1, b1]: [f64; 3], [l2, a2, b2]: [f64; 3]) -> f64 {
    let chroma = f64::midpoint(a1.hypot(b1), a2.hypot(b2));
    let seventh = |c: f64| (c.powi(7) / (c.powi(7) + 25_f64.powi(7))).sqrt();
    let g = 0.5 * (1.0 - seventh(chroma));
    let (a1, a2) = (a1 * (1.0 + g), a2 * (1.0 + g));
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| if a == 0.0 && b == 0.0 { 0.0 } else { b.atan2(a).to_degrees().rem_euclid(360.0) };
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    let hue_turn = match h2 - h1 {
        _ if c1 * c2 == 0.0 => 0.0,
        d if d > 180.0 => d - 360.0,
        d if d < -180.0 => d + 360.0,
        d => d,
    };
    let (dl, dc, dh) = (l2 - l1, c2 - c1, 2.0 * (c1 * c2).sqrt() * (hue_turn / 2.0).to_radians().sin());
    let (l, c) = (f64::midpoint(l1, l2), f64::midpoint(c1, c2));
    let h = match h1 + h2 {
        sum if c1 * c2 == 0.0 => sum,
        sum if (h1 - h2).abs() <= 180.0 => sum / 2.0,
        sum if sum < 360.0 => sum / 2.0 + 180.0,
        sum => sum / 2.0 - 180.0,
    };
    let cos = |degrees: f64| degrees.to_radians().cos();
    let t = 1.0 - 0.17 * cos(h - 30.0) + 0.24 * cos(2.0 * h) + 0.32 * cos(3.0 * h + 6.0) - 0.20 * cos(4.0 * h - 63.0);
    let sl = 1.0 + 0.015 * (l - 50.0).powi(2) / (20.0 + (l - 50.0).powi(2)).sqrt();
    let (sc, sh) = (1.0 + 0.045 * c, 1.0 + 0.015 * c * t);
    let rotation = -(60.0 * (-((h - 275.0) / 25.0).powi(2)).exp()).to_radians().sin() * 2.0 * seventh(c);
    let (l, c, h) = (dl / sl, dc / sc, dh / sh);
    (l * l + c * c + h * h + rotation * c * h).sqrt()
}

/// Pairs of the paper's table 1.
#[test]
fn delta_e_is_that_of_the_paper() {
    for (one, other, expected) in [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, -1.3802, -84.2814], [50.0, 0.0, -82.7485], 1.0000),
        ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        ([22.7233, 20.0904, -46.6940], [23.0331, 14.9730, -42.5619], 2.0373),
        ([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
    ] {
        assert!((delta_e(one, other) - expected).abs() < 1e-4, "{} is not {expected}", delta_e(one, other));
    }
}
