{-# LANGUAGE DeriveDataTypeable, TemplateHaskell, TypeFamilies #-}
-- Durable updates per second of acid-state, the successor of HAppS-State: threads that each add one to a counter, and
-- wait until that is on disk. The counterpart of updates.py with --bare.
--
--     apt install ghc libghc-acid-state-dev
--     ghc -O2 -threaded -rtsopts "-with-rtsopts=-N2" -outputdir /tmp/acid -o /tmp/acid/bench benchmarks/acid.hs
--     /tmp/acid/bench [THREADS] [SECONDS]
module Main (main) where

import Control.Concurrent (forkIO, newEmptyMVar, putMVar, takeMVar)
import Control.Monad (forM)
import Control.Monad.State (get, put)
import Data.Acid
import Data.SafeCopy (base, deriveSafeCopy)
import Data.Typeable (Typeable)
import GHC.Clock (getMonotonicTime)
import System.Directory (removeDirectoryRecursive)
import System.Environment (getArgs)
import Text.Printf (printf)

newtype Calls = Calls Int deriving (Typeable)

$(deriveSafeCopy 0 'base ''Calls)

hit :: Update Calls Int
hit = do
  Calls before <- get
  let now = before + 1
  now `seq` put (Calls now)
  return now

$(makeAcidic ''Calls ['hit])

main :: IO ()
main = do
  arguments <- getArgs
  let (threads, seconds) = case arguments of
        [t, s] -> (read t, read s)
        _ -> (64, 5) :: (Int, Double)
  state <- openLocalStateFrom "acid-benchmark" (Calls 0)
  end <- (+ seconds) <$> getMonotonicTime
  boxes <- forM [1 .. threads] $ \_ -> do
    box <- newEmptyMVar
    _ <- forkIO (count state end 0 >>= putMVar box)
    return box
  done <- sum <$> mapM takeMVar boxes
  closeAcidState state
  removeDirectoryRecursive "acid-benchmark"
  printf "%d threads: %.0f updates/s\n" threads (fromIntegral done / seconds)

count :: AcidState Calls -> Double -> Int -> IO Int
count state end done = do
  now <- getMonotonicTime
  if now >= end
    then return done
    else do
      number <- update state Hit
      number `seq` count state end (done + 1)
